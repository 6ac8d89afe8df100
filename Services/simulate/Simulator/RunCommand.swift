import ArgumentParser
import FlotillaSimulation
import Foundation

/// Runs seeds.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs the worlds of some seeds and says what was met and what was broken.")

    @Option(help: ArgumentHelp("The seeds, as 7 or as 1..2000.", valueName: "a..b"))
    var seeds = SeedRange(first: 1, last: 100)
    @Option(help: "How many worlds run at a time.")
    var threads = ProcessInfo.processInfo.activeProcessorCount
    @Option(help: "After how many failures to stop.")
    var failures = 3
    @Option(help: ArgumentHelp("Only these of the seed's faults, by their numbers.", valueName: "numbers"))
    var keep: String?
    @Flag(help: "Print everything that happens. For one seed.")
    var trace = false
    @Flag(help: "Print the hash of each seed's trace.")
    var hashes = false
    @Flag(help: "Do not look for the fewest faults that make a failing seed fail.")
    var noShrink = false

    func validate() throws {
        guard threads > 0, failures > 0 else { throw ValidationError("threads and failures must be positive") }
        guard seeds.count == 1 || (keep == nil && !trace) else {
            throw ValidationError("--keep and --trace are for a single seed")
        }
        if keep != nil, keptFaults == nil { throw ValidationError("--keep takes numbers with commas between them") }
    }

    private var keptFaults: Set<Int>? {
        guard let keep else { return nil }
        let numbers = keep.split(separator: ",").map { Int($0) }
        return numbers.contains(nil) ? nil : Set(numbers.compactMap { $0 })
    }

    func run() throws {
        if seeds.count == 1 { try runOne() } else { try runMany() }
    }

    private func runOne() throws {
        var plan = Plan(seed: seeds.first)
        if let keptFaults { plan = plan.keeping(keptFaults) }
        let world = World(plan)
        if trace { world.trace.listener = { print($0) } }
        let violation = world.run()
        print("seed \(plan.seed): trace \(String(world.trace.hash, radix: 16)), \(world.trace.count) events")
        if let violation {
            FailureText(plan: plan, violation: violation).print(shrinks: !noShrink && keptFaults == nil)
            throw ExitCode(1)
        }
        ReportText(world.report).print()
    }

    private func runMany() throws {
        let start = Date()
        let campaign = Campaign(seeds, failuresMax: failures, keepsHashes: hashes) { seed, violation in
            Self.tell("seed \(seed) breaks \(violation.text.prefix { $0 != "\n" }) (\(violation.rule.rawValue))")
        }
        campaign.run(threads: threads, every: 10) { report, failures in
            Self.tell(ReportText(report).progress(since: start, of: seeds.count, failures: failures))
        }
        for (seed, hash) in campaign.hashes { print("seed \(seed): trace \(String(hash, radix: 16))") }
        ReportText(campaign.report).print(since: start)
        let failed = campaign.failures
        for failure in failed {
            FailureText(plan: Plan(seed: failure.seed), violation: failure.violation).print(shrinks: !noShrink)
        }
        guard failed.isEmpty else { throw ExitCode(1) }
        print("no seed of \(campaign.report.worlds) broke a rule")
    }

    /// Progress goes to standard error, so that the results can be kept.
    private static func tell(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
}
