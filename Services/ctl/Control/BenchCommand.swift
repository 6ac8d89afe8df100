import ArgumentParser
import FlotillaClient
import FlotillaMachines
import FlotillaWire
import NIOCore
import NIOPosix

/// What a benchmark does.
enum BenchMix: String, ExpressibleByArgument, CaseIterable {
    /// Puts.
    case put
    /// Consistent reads of keys that were put before.
    case get
    /// Puts and consistent reads in turn.
    case mixed
    /// Commands to a counter.
    case command

    /// The state machine that it needs.
    var machine: String { self == .command ? "counter" : "kv" }
}

struct BenchCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures a cluster in a closed loop: each answer is followed by the next operation.",
        discussion: """
            The cluster must exist. The mix 'command' needs one whose machine is counter. With --rate operations come \
            when they are due instead, and their latency counts from then, even if as many as may be open are open.
            """)

    @Option(help: "How many operations are open at a time.") var inFlight = 64
    @Option(help: "Over how many connections they are spread.") var connections = 1
    @Option(help: ArgumentHelp("The length of a value, or of a command's annotation.", valueName: "bytes"))
    var valueSize = 256
    @Option(help: "How long is measured.") var seconds: Double = 10
    @Option(help: "What is done: put, get, mixed or command.") var mix: BenchMix = .put
    @Option(help: ArgumentHelp("How long to run before measuring.", valueName: "seconds")) var warmUp: Double = 1
    @Option(help: "How many different keys are used.") var keys = 10_000
    @Option(
        help: ArgumentHelp("How many operations are begun in a second, if not as many as can be.", valueName: "number"))
    var rate: Double?
    @Option(
        help: ArgumentHelp(
            "Where to write a line for each operation: when it was due by the monotonic clock in nanoseconds, and its latency in microseconds.",
            valueName: "file"))
    var samples: String?
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard connections >= 1, connections <= 1_024 else { throw ValidationError("--connections: 1 to 1024") }
        guard inFlight >= connections else {
            throw ValidationError("--in-flight \(inFlight) does not fill \(connections) connections")
        }
        guard (inFlight + connections - 1) / connections <= Limits.openCommandsPerConnection else {
            throw ValidationError(
                "--in-flight: at most \(Limits.openCommandsPerConnection) for each of the connections")
        }
        guard (0...Limits.commandBytesDefault / 2).contains(valueSize) else {
            throw ValidationError("--value-size: 0 to \(Limits.commandBytesDefault / 2)")
        }
        guard rate.map({ (0.001...10_000_000).contains($0) }) ?? true else {
            throw ValidationError("--rate: 0.001 to 10000000")
        }
        guard seconds > 0, seconds <= 86_400, warmUp >= 0, warmUp <= 86_400, (1...10_000_000).contains(keys) else {
            throw ValidationError("--seconds, --warm-up and --keys must be positive")
        }
    }

    func execute(_ context: ControlContext) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let report = try await measure(context, group)
            try await group.shutdownGracefully()
            try print(report, context)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func measure(_ context: ControlContext, _ group: any EventLoopGroup) async throws -> BenchReport {
        var clients: [FlotillaClient] = []
        do {
            for _ in 0..<connections {
                var configuration = ClientConfiguration()
                configuration.timeout = global.duration
                configuration.eventLoopGroup = group
                clients.append(
                    try await FlotillaClient.connect(to: global.addresses(context), configuration: configuration))
            }
            let report = try await measure(clients, context)
            for client in clients { await client.shutdown() }
            return report
        } catch {
            for client in clients { await client.shutdown() }
            throw error
        }
    }

    private func measure(_ clients: [FlotillaClient], _ context: ControlContext) async throws -> BenchReport {
        let plan = BenchPlan(self)
        let shares = clients.indices.map { (inFlight + $0) / connections }
        let times = BenchTimes(warmUp: warmUp, seconds: seconds)
        let lanes: [any BenchLane]
        if mix == .command {
            lanes = try await makeLanes(clients, of: Counter.self) { CounterWork(plan, client: $0) }
        } else {
            let keys = (0..<keys).map { KeyValue.Key("bench/\($0)") }
            if mix != .put {
                context.errors.line("writing \(keys.count) keys first")
                try await fill(global.cluster(clients[0], mix.machine), keys, plan.value)
            }
            lanes = try await makeLanes(clients, of: KeyValue.self) { KeyValueWork(plan, keys: keys, client: $0) }
        }
        let before = await throttled(clients)
        return try await withThrowingTaskGroup(of: BenchTally.self) { group in
            let window = times.starting(at: .now())
            for (lane, share) in zip(lanes, shares) { group.addTask { await lane.run(share, window) } }
            var total = BenchTally()
            for try await tally in group { total.add(tally) }
            let throttled = await self.throttled(clients) - before
            if let samples { try total.samples.write(to: samples) }
            if total.completed == 0, let error = total.lastError { throw error }
            return BenchReport(self, total, throttled: throttled)
        }
    }

    private func makeLanes<Work: BenchWork>(
        _ clients: [FlotillaClient], of machine: Work.Machine.Type, _ work: (Int) -> Work
    ) async throws -> [any BenchLane] {
        var lanes: [any BenchLane] = []
        for (number, client) in clients.enumerated() {
            let cluster: ClusterClient<Work.Machine> = try await global.cluster(client, mix.machine)
            // What happens once is no part of what is measured.
            try await cluster.openSession()
            lanes.append(
                BenchLoop(
                    cluster, work(number), pace: rate.map { BenchPace(rate: $0 / Double(connections)) },
                    keepsSamples: samples != nil))
        }
        return lanes
    }

    private func throttled(_ clients: [FlotillaClient]) async -> UInt64 {
        var sum: UInt64 = 0
        for client in clients { sum += await client.counters().busyRejections }
        return sum
    }

    /// Puts every key once, so that reads find something.
    private func fill(
        _ cluster: ClusterClient<KeyValue>, _ keys: [KeyValue.Key], _ value: ByteBuffer
    ) async throws {
        let pipeline = cluster.pipeline()
        async let submitted: Void = {
            defer { pipeline.finish() }
            for (number, key) in keys.enumerated() {
                try await pipeline.submit(.put(key, value, ifIndex: nil), correlation: UInt64(number))
            }
        }()
        var failure: FlotillaError?
        for await batch in pipeline.notifications {
            for notification in batch.commands {
                if case .failure(let error) = notification.result { failure = error }
            }
        }
        try await submitted
        if let failure { throw failure }
    }

    private func print(_ report: BenchReport, _ context: ControlContext) throws {
        if global.output == .json {
            try context.json(report)
        } else {
            for line in report.lines { context.output.line(line) }
        }
    }
}
