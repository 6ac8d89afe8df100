import Foundation

/// A file that goes with its last owner.
final class TemporaryFile: Sendable {
    let path: String

    init(_ text: String) throws {
        let name = "flotilla-test-\(UInt64.random(in: 0...UInt64.max))"
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try Data(text.utf8).write(to: url)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
