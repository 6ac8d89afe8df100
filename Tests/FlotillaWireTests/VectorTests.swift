import FlotillaWire
import Foundation
import NIOCore
import Testing

/// The golden vectors: every byte of every message, in files. Whoever changes the protocol sees it here; whoever
/// writes a client in another language tests it against them.
///
/// `FLOTILLA_WRITE_VECTORS=1 swift test --filter VectorTests` writes them anew.
struct VectorTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    private static let folder = root.appendingPathComponent("Vectors/wire")
    private static let page = root.deletingLastPathComponent().appendingPathComponent("docs/wire-protocol.md")
    private static let isWriting = ProcessInfo.processInfo.environment["FLOTILLA_WRITE_VECTORS"] == "1"

    private func file(of sample: Sample) -> URL { Self.folder.appendingPathComponent(sample.name + ".hex") }

    private func bytes(inHexadecimal text: some StringProtocol) -> [UInt8]? {
        let digits = String(text.filter { !$0.isWhitespace })
        var bytes: [UInt8] = []
        var rest = digits[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16), rest.count >= 2 else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    private func text(of sample: Sample) -> String {
        let digits = sample.frame.readableBytesView.map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        let lines = stride(from: 0, to: digits.count, by: 16).map { start in
            digits[start..<min(start + 16, digits.count)].joined(separator: " ")
        }
        return (["# \(sample.name): \(sample.comment)"] + lines).joined(separator: "\n") + "\n"
    }

    @Test("The vectors are written", .enabled(if: isWriting))
    func write() throws {
        try FileManager.default.createDirectory(at: Self.folder, withIntermediateDirectories: true)
        for sample in Sample.all { try text(of: sample).write(to: file(of: sample), atomically: true, encoding: .utf8) }
    }

    @Test(
        "Every message is its vector, and every vector is its message", .enabled(if: !isWriting), arguments: Sample.all)
    func vectors(sample: Sample) throws {
        let text = try String(contentsOf: file(of: sample), encoding: .utf8)
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        let vector = try #require(bytes(inHexadecimal: lines.joined()))
        #expect(Array(sample.frame.readableBytesView) == vector)
        #expect(try Message.decode(frame: ByteBuffer(bytes: vector)) == sample.message)
        #expect(text == self.text(of: sample))
    }

    @Test("No vector is left over", .enabled(if: !isWriting))
    func leftOver() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(Set(files) == Set(Sample.all.map { $0.name + ".hex" }))
    }

    @Test("The session that the documentation takes apart is that of the vectors", .enabled(if: !isWriting))
    func documentation() throws {
        let page = try String(contentsOf: Self.page, encoding: .utf8)
        for sample in Sample.session {
            let parts = page.components(separatedBy: "```text \(sample.name)\n")
            try #require(parts.count == 2, "\(sample.name) stands once in the page")
            let block = parts[1].components(separatedBy: "```")[0]
            // Each line is bytes, two spaces or more, and what they mean.
            let digits = block.split(separator: "\n").map { $0.components(separatedBy: "  ")[0] }.joined()
            #expect(try #require(bytes(inHexadecimal: digits)) == Array(sample.frame.readableBytesView))
        }
    }
}
