import FlotillaStorage
import Foundation
import Testing

/// The files of this format are read for ever; a change of a single byte must be meant.
@Suite struct GoldenFileTests {
    private var vector: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Vectors/write-ahead-log-1.0.hex")
    }

    /// Blocks of 32 bytes as lines of hexadecimal digits behind their offset; lines of zeros are left out.
    private func listing(_ bytes: [UInt8]) -> String {
        var lines: [String] = []
        for start in stride(from: 0, to: bytes.count, by: 32) {
            let line = bytes[start..<start + 32]
            guard line.contains(where: { $0 != 0 }) else { continue }
            let digits = line.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            lines.append(String(start) + " " + digits)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    @Test func aSmallLogIsWrittenAsItAlwaysWas() async throws {
        let small = try await SmallLog.make(sealed: true)
        let written = listing(small.disk.contents(small.path))
        if ProcessInfo.processInfo.environment["FLOTILLA_WRITE_VECTORS"] != nil {
            try Data(written.utf8).write(to: vector)
        }
        #expect(written == String(decoding: try Data(contentsOf: vector), as: UTF8.self))
    }
}
