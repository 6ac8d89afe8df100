import ArgumentParser

/// The command line `flotilla`.
///
/// Results go to the context's output, everything else to its errors. Exit codes: 0 done; 1 the cluster said no (not
/// found, rejected), or the doctor has found a problem; 2 bad usage; 3 timed out with the outcome unknown; 4 no leader
/// or no connection, nothing done.
public enum ControlCommandLine {
    /// Runs one command.
    ///
    /// - Parameter arguments: those after the program's name.
    /// - Returns: the exit code.
    public static func run(_ arguments: [String], in context: ControlContext = .process) async -> Int32 {
        let command: any ParsableCommand
        do { command = try FlotillaCommand.parseAsRoot(Arguments.normalize(arguments)) } catch {
            return report(error, context)
        }
        do {
            guard let command = command as? any ControlCommand else { return help(command, context) }
            try await command.execute(context)
            return 0
        } catch let error as ValidationError {
            return report(error, context)
        } catch {
            let failure = ControlFailure(error)
            context.errors.line("flotilla: \(failure)")
            return failure.exitCode
        }
    }

    /// Shows what there is: as a result when help was asked for, as an error when a command is missing.
    private static func help(_ command: any ParsableCommand, _ context: ControlContext) -> Int32 {
        guard type(of: command).configuration.subcommands.isEmpty else {
            context.errors.line(FlotillaCommand.helpMessage(for: type(of: command)))
            return ControlFailure.usage
        }
        var command = command
        do {
            try command.run()
            return 0
        } catch {
            return report(error, context)
        }
    }

    private static func report(_ error: any Error, _ context: ControlContext) -> Int32 {
        let text = FlotillaCommand.fullMessage(for: error)
        guard FlotillaCommand.exitCode(for: error).isSuccess else {
            context.errors.line(text)
            return ControlFailure.usage
        }
        context.output.line(text)
        return 0
    }
}

/// Makes arguments what the parser expects.
enum Arguments {
    private static let global = ["--endpoints", "--timeout", "--output", "--cluster"]

    /// Global options may stand before the command, and `counter add` takes numbers below zero.
    static func normalize(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        var moved: [String] = []
        while let first = rest.first {
            if global.contains(first), rest.count >= 2 {
                moved += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if global.contains(where: { first.hasPrefix($0 + "=") }) {
                moved.append(first)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        var result = Array(rest)
        let end = result.firstIndex(of: "--") ?? result.endIndex
        result.insert(contentsOf: moved, at: end)
        return negativeNumberLast(result)
    }

    private static func negativeNumberLast(_ arguments: [String]) -> [String] {
        guard arguments.starts(with: ["counter", "add"]), !arguments.contains("--"),
            let position = arguments.firstIndex(where: { $0.hasPrefix("-") && Int64($0) != nil })
        else { return arguments }
        var result = arguments
        let number = result.remove(at: position)
        return result + ["--", number]
    }
}

struct FlotillaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flotilla",
        abstract: "Starts, inspects and uses clusters of the multi-Raft system Flotilla.",
        discussion: """
            Results go to standard output, everything else to standard error. Exit codes: 0 done; 1 the cluster said \
            no (not found, rejected), or the doctor has found a problem; 2 bad usage; 3 timed out with the outcome \
            unknown; 4 no leader or no connection, nothing was done.
            """,
        subcommands: [
            ClusterCommand.self, MemberCommand.self, LeaderCommand.self, TransferLeadershipCommand.self,
            TriggerElectionCommand.self, SnapshotCommand.self, PutCommand.self, GetCommand.self, DeleteCommand.self,
            ListCommand.self,
            CounterCommand.self, QueueCommand.self, ImportCommand.self, OverviewCommand.self, BenchCommand.self,
            DoctorCommand.self,
        ])
}
