import FlotillaStorage
import FlotillaWire
import Foundation
import Testing

/// The files of this format are read for ever; a change of a single byte must be meant.
@Suite struct SnapshotGoldenTests {
    private var vector: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Vectors/snapshot-1.0.hex")
    }

    /// Blocks of 32 bytes as lines of hexadecimal digits behind their offset.
    private func listing(_ bytes: [UInt8]) -> String {
        stride(from: 0, to: bytes.count, by: 32).map { start in
            let line = bytes[start..<min(bytes.count, start + 32)]
            return "\(start) " + line.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + "\n"
        }.joined()
    }

    @Test func `a small snapshot is written as it always was`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: Sample.pieces(70, 3), live: Sample.live([2, 3, 99]))
        let written = listing(disk.disk.contents(file.path))
        if ProcessInfo.processInfo.environment["FLOTILLA_WRITE_VECTORS"] != nil {
            try Data(written.utf8).write(to: vector)
        }
        #expect(written == String(decoding: try Data(contentsOf: vector), as: UTF8.self))
    }
}
