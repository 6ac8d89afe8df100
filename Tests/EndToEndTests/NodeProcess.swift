import FlotillaWire
import Foundation
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Where the binaries are that the tests run: what `FLOTILLA_BIN` names, or beside the tests themselves.
enum Binaries {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["FLOTILLA_BIN"] { return URL(filePath: path) }
        return URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    }()

    static func path(_ name: String) -> URL { directory.appending(path: name) }
}

/// Something did not come about before its deadline, or a process could not be run.
struct EndToEndError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Waits until something holds: looks again and again, at most until the deadline.
func eventually<Value>(
    within seconds: Double = 30, _ what: String, _ look: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var last: (any Error)?
    while ContinuousClock.now < deadline {
        do { if let value = try await look() { return value } } catch let error as EndToEndError {
            throw error
        } catch { last = error }
        // Between two looks only; what is waited for is the condition.
        try await Task.sleep(for: .milliseconds(10))
    }
    throw EndToEndError("\(what): not within \(seconds) s\(last.map { " (\($0))" } ?? "")")
}

/// One `flotilla-node` process.
final class NodeProcess: Sendable {
    let name: String
    let port: UInt16
    let output: URL
    private let process: Mutex<Process>

    /// Starts a node whose standard output and error go to files in `directory`.
    ///
    /// - Parameter launcher: a command that replaces itself by the node's, which follows it.
    init(
        _ name: String, port: UInt16, dataDirectory: URL, directory: URL, peers: [(String, UInt16)],
        flags: [String] = [], launcher: [String] = []
    ) throws {
        self.name = name
        self.port = port
        output = directory.appending(path: "\(name)-\(UUID().uuidString).out")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            launcher + [Binaries.path("flotilla-node").path()] + [
                "--name", name, "--listen", "127.0.0.1:\(port)", "--data-dir", dataDirectory.path(),
            ]
            + peers.flatMap { ["--peer", "\($0.0)=127.0.0.1:\($0.1)"] } + flags
        try Data().write(to: output)
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.process = Mutex(process)
    }

    /// Everything that it has printed so far.
    var printed: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }

    var isRunning: Bool { process.withLock { $0.isRunning } }

    /// Waits for the line that says that it serves.
    func ready() async throws {
        _ = try await eventually("node \(name) ready") { () -> Bool? in
            if self.printed.contains("ready \(self.name)") { return true }
            if !self.isRunning { throw EndToEndError("node \(self.name) ended: \(self.printed)") }
            return nil
        }
    }

    /// Sends it a signal.
    func signal(_ signal: Int32) { kill(process.withLock { $0.processIdentifier }, signal) }

    /// Waits for its end and returns its status.
    @discardableResult
    func ended() async throws -> Int32 {
        _ = try await eventually("the end of node \(name)") { self.isRunning ? nil : true }
        return process.withLock { $0.terminationStatus }
    }

    /// Ends it at once, as a power cut would.
    func killed() async throws {
        signal(SIGKILL)
        try await ended()
    }
}

/// What a run of the command line gave.
struct ToolResult {
    let status: Int32
    let output: String
    let error: String
}

/// Runs the command line against some endpoints.
func flotilla(_ arguments: String..., endpoints: String) async throws -> ToolResult {
    try await flotilla(arguments, endpoints: endpoints)
}

/// Runs the command line against some endpoints.
func flotilla(_ arguments: [String], endpoints: String) async throws -> ToolResult {
    try await run("flotilla", ["--endpoints", endpoints] + arguments)
}

/// Runs one of the programs to its end.
func run(_ program: String, _ arguments: [String]) async throws -> ToolResult {
    let directory = URL(filePath: NSTemporaryDirectory()).appending(path: "flotilla-tool-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = (output: directory.appending(path: "out"), error: directory.appending(path: "err"))
    for file in [files.output, files.error] { try Data().write(to: file) }
    let process = Process()
    process.executableURL = Binaries.path(program)
    process.arguments = arguments
    process.standardOutput = try FileHandle(forWritingTo: files.output)
    process.standardError = try FileHandle(forWritingTo: files.error)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let box = Mutex(process)
    _ = try await eventually(within: 120, "the end of \(program) \(arguments)") {
        box.withLock { $0.isRunning } ? nil : true
    }
    return ToolResult(
        status: box.withLock { $0.terminationStatus },
        output: try String(contentsOf: files.output, encoding: .utf8),
        error: try String(contentsOf: files.error, encoding: .utf8))
}
