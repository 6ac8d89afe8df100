import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A small file system in memory, seen only by processes that are started with its `launcher`.
///
/// A process of its own holds it in a mount namespace, so that no rights are needed that a user has not where user
/// namespaces are allowed. This process reaches it by way of `/proc`.
final class SmallDisk: Sendable {
    private let holder: SystemTool
    private let directory: URL

    /// Whether such file systems can be made here.
    static let isPossible: Bool = {
        let directory = URL(filePath: NSTemporaryDirectory()).appending(path: "flotilla-mount-\(UUID().uuidString)")
        do {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            let tool = try SystemTool(namespace + ["sh", "-c", mount(1, at: directory)])
            return tool.waitForEnd() == 0
        } catch { return false }
    }()

    private static let isRoot = geteuid() == 0

    private static let namespace = ["unshare", isRoot ? "-m" : "-rm", "--propagation", "private"]

    private static func mount(_ mebibytes: Int, at directory: URL) -> String {
        "mount -t tmpfs -o size=\(mebibytes)m tmpfs '\(directory.path())'"
    }

    /// Puts a file system over a directory that is there.
    init(mebibytes: Int, at directory: URL) async throws {
        self.directory = directory
        let mount = Self.mount(mebibytes, at: directory)
        holder = try SystemTool(
            Self.namespace + ["sh", "-c", "\(mount) && touch '\(directory.path())/mounted' && exec sleep 3600"])
        let mark = path("mounted")
        _ = try await eventually("the mount") { FileManager.default.fileExists(atPath: mark) ? true : nil }
        try FileManager.default.removeItem(atPath: mark)
    }

    /// What a command line must begin with to see the file system.
    var launcher: [String] {
        ["nsenter", "-t", "\(holder.processIdentifier)", "-m"] + (Self.isRoot ? [] : ["-U", "--preserve-credentials"])
    }

    private func path(_ name: String) -> String {
        "/proc/\(holder.processIdentifier)/root\(directory.path())/\(name)"
    }

    /// Takes all the room that is left, and what has become free since it was taken last.
    func fill() throws {
        let descriptor = open(path("ballast"), O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard descriptor >= 0 else { throw EndToEndError("no ballast: \(errno)") }
        defer { close(descriptor) }
        let block = [UInt8](repeating: 0, count: 65_536)
        while write(descriptor, block, block.count) > 0 {}
        guard errno == ENOSPC else { throw EndToEndError("the disk could not be filled: \(errno)") }
    }

    /// Gives the room back that was taken, if any was.
    func makeRoom() throws {
        guard unlink(path("ballast")) == 0 || errno == ENOENT else { throw EndToEndError("no room: \(errno)") }
    }

    /// Lets go of the file system, when no process uses it any more.
    func remove() { holder.kill() }
}

/// A tool of the system that runs beside the test.
private final class SystemTool: Sendable {
    private let process: Mutex<Process>
    let processIdentifier: Int32

    init(_ command: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        processIdentifier = process.processIdentifier
        self.process = Mutex(process)
    }

    func waitForEnd() -> Int32 {
        process.withLock { process in
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    func kill() {
        process.withLock { process in
            process.terminate()
            process.waitUntilExit()
        }
    }
}
