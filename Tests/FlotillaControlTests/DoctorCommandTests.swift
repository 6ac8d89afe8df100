import FlotillaStorage
import FlotillaWire
import Foundation
import Testing

@Suite("The doctor", .timeLimit(.minutes(1)))
struct DoctorCommandTests {
    private static let nodeID = NodeID(high: 1, low: 2)

    /// Makes the data directory of a node that was started once, and removes it in the end.
    private func withDirectory(
        log: String = "wal", _ body: (_ path: String, DataDirectory, AsyncFiles) async throws -> Void
    ) async throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "flotilla-doctor-\(UInt64.random(in: 0...UInt64.max))")
        defer { try? FileManager.default.removeItem(at: url) }
        let files = AsyncFiles()
        let path = url.appendingPathComponent("data").path
        let directory = try await DataDirectory.open(
            path: path, walPath: "\(path)/\(log)", name: NodeName("n1"), newNodeID: Self.nodeID, files: files)
        var settings = WALSettings(directory: directory.walPath)
        settings.fileBytes = 64 << 10
        _ = try await WALFilePreparer(settings: settings, mode: .dataSync, nodeID: Self.nodeID)
            .prepare(sequence: 1, salt: 7, files: files)
        try await body(path, directory, files)
    }

    private func flip(_ path: String, at place: Int) throws {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[place] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    @Test("A right directory is 0, and the last line counts")
    func right() async throws {
        try await withDirectory { path, directory, files in
            try await directory.close(files)
            let ran = await flotilla("doctor", path + "/")
            #expect(ran.exitCode == 0 && ran.errors.isEmpty)
            let lines = ran.output.split(separator: "\n")
            #expect(lines.count == 1 && lines[0].hasPrefix("5 files with "), "\(ran.output)")
            #expect(lines[0].hasSuffix("0 servers, 0 entries verified, 0 problems, 0 notes"))
            #expect(await flotilla("--output", "json", "doctor", path).exitCode == 0)
        }
    }

    struct Printed: Decodable {
        struct Found: Decodable {
            var file: String
            var offset: UInt64
            var text: String
            var advice: String
            var server: Server?
        }
        struct Server: Decodable {
            var uid: String
        }
        var data_directory: String
        var problems: [Found]
        var notes: [Found]
        var summary: [String: UInt64]
    }

    @Test("A problem is 1, with file and offset on standard output")
    func problem() async throws {
        try await withDirectory { path, directory, files in
            try await directory.close(files)
            try flip("\(path)/node", at: 20)
            let size = try Data(contentsOf: URL(fileURLWithPath: "\(path)/node")).count
            let ran = await flotilla("doctor", path)
            #expect(ran.exitCode == 1)
            #expect(ran.output.hasPrefix("problem: \(path)/node at offset \(size - 4): "), "\(ran.output)")
            #expect(ran.output.contains("\n5 files with "))
            #expect(ran.errors == "flotilla: 1 problem in \(path)\n")
        }
    }

    @Test("Problems, notes and the summary are one object of JSON")
    func json() async throws {
        try await withDirectory { path, directory, files in
            try await directory.close(files)
            let uid = ServerUID(high: 3, low: 4)
            try FileManager.default.createDirectory(
                atPath: "\(path)/servers/\(uid)", withIntermediateDirectories: true)
            try flip("\(path)/wal/0000000000000001.wal", at: 5_000)
            let ran = await flotilla("doctor", path, "--output", "json")
            #expect(ran.exitCode == 1)
            let printed: Printed = try ran.json()
            #expect(printed.data_directory == path)
            #expect(printed.problems.map(\.file) == ["\(path)/servers/\(uid)"])
            #expect(printed.problems.first?.server?.uid == uid.description)
            #expect(printed.notes.map(\.file) == ["\(path)/wal/0000000000000001.wal"])
            #expect(printed.notes.first?.offset == 4_096)
            #expect(printed.summary["problems"] == 1 && printed.summary["files"] == 5)
        }
    }

    @Test("A directory that is in use is 1, and says so")
    func locked() async throws {
        try await withDirectory { path, directory, files in
            let ran = await flotilla("doctor", path)
            #expect(ran.exitCode == 1 && ran.output.isEmpty)
            #expect(ran.errors.contains("in use by another process"))
            try await directory.close(files)
        }
    }

    @Test("A log in a directory of its own must be named")
    func logDirectory() async throws {
        try await withDirectory(log: "log") { path, directory, files in
            try await directory.close(files)
            let without = await flotilla("doctor", path)
            #expect(without.exitCode == 1 && without.output.contains("--wal-dir"), "\(without.output)")
            #expect(await flotilla("doctor", path, "--wal-dir", "\(path)/log").exitCode == 0)
        }
    }

    @Test(
        "Bad usage is 2",
        arguments: [
            ["doctor"], ["doctor", ""], ["doctor", "/there/is/no/such/directory"], ["doctor", "/proc/self/fd"],
            ["doctor", "/etc/passwd"], ["doctor", "/tmp", "--output", "xml"], ["doctor", "/tmp", "--wal-dir", ""],
        ])
    func usage(_ arguments: [String]) async {
        let ran = await flotilla(arguments)
        #expect(ran.exitCode == 2)
        #expect(ran.output.isEmpty && !ran.errors.isEmpty)
    }
}
