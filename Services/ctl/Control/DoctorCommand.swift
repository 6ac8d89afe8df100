import ArgumentParser
import FlotillaStorage
import Synchronization

struct DoctorCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Looks at every byte of a stopped node's data directory and tells what is wrong.",
        discussion: """
            It only reads: nothing is made, changed or removed. Each line of the output is a problem or a note, with \
            file and offset, the server and the entries that it concerns, and what to do about it; the last line \
            counts. Exit codes: 0 nothing is wrong; 1 there are problems, or a node runs on the directory; 2 bad usage.
            """)

    @Argument(help: ArgumentHelp("The node's data directory.", valueName: "data-dir")) var directory: String
    @Option(
        help: ArgumentHelp(
            "The directory of the write-ahead log, if it has one of its own (wal-data-dir).", valueName: "dir"))
    var walDir: String?
    @Option(help: ArgumentHelp("How results are written: text or json.", valueName: "format"))
    var output: OutputFormat = .text

    func validate() throws {
        guard !directory.isEmpty, walDir?.isEmpty != true else {
            throw ValidationError("the path of a directory is empty")
        }
    }

    func execute(_ context: ControlContext) async throws {
        let doctor = Doctor(
            dataDirectory: Self.trimmed(directory), walDirectory: walDir.map(Self.trimmed), files: AsyncFiles())
        let summary = output == .json ? try await json(doctor, context) : try await text(doctor, context)
        guard summary.problems == 0 else {
            throw ControlFailure(
                ControlFailure.refused, "\(summary.problems.counted("problem")) in \(Self.trimmed(directory))")
        }
    }

    private func text(_ doctor: Doctor, _ context: ControlContext) async throws -> DoctorSummary {
        let summary = try await examine(doctor) { context.output.line($0.description) }
        context.output.line(
            "\(summary.files.counted("file")) with \(summary.bytes.counted("byte")), "
                + "\(summary.servers.counted("server")), \(summary.entries.counted("entry", "entries")) verified, "
                + "\(summary.problems.counted("problem")), \(summary.notes.counted("note"))")
        return summary
    }

    private func json(_ doctor: Doctor, _ context: ControlContext) async throws -> DoctorSummary {
        let gather = Gather()
        let summary = try await examine(doctor) { gather.add($0) }
        try context.json(DoctorView(Self.trimmed(directory), gather.findings, summary))
        return summary
    }

    /// Tells what keeps the doctor from looking at anything with the exit code that it has.
    private func examine(
        _ doctor: Doctor, _ tell: @escaping @Sendable (Finding) -> Void
    ) async throws -> DoctorSummary {
        do throws(StorageError) { return try await doctor.examine(tell) } catch {
            throw ControlFailure(
                error.code == .locked ? ControlFailure.refused : ControlFailure.usage, error.message)
        }
    }

    /// Without slashes at the end, so that paths are written as people do.
    private static func trimmed(_ path: String) -> String {
        var path = path[...]
        while path.count > 1, path.last == "/" { path.removeLast() }
        return String(path)
    }
}

/// Collects what the doctor finds.
private final class Gather: Sendable {
    private let all = Mutex<[Finding]>([])
    var findings: [Finding] { all.withLock { $0 } }
    func add(_ finding: Finding) { all.withLock { $0.append(finding) } }
}

extension UInt64 {
    /// The number and what it counts.
    fileprivate func counted(_ one: String, _ many: String? = nil) -> String {
        "\(self) \(self == 1 ? one : many ?? one + "s")"
    }
}
