import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore

/// What every operation of a benchmark has in common.
struct BenchPlan: Sendable {
    var mix: BenchMix
    var value: ByteBuffer
    var clients: Int

    init(_ command: BenchCommand) {
        mix = command.mix
        clients = command.connections
        // Bytes that no compression makes short.
        var generator = SystemRandomNumberGenerator()
        value = ByteBuffer(bytes: (0..<command.valueSize).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}

/// What a benchmark does: submits operations, and says what became of them.
///
/// The last two requirements have one implementation for all. They are requirements so that the compiler makes them
/// anew for each kind of work, with its types filled in: they are what runs for every single operation.
protocol BenchWork: Sendable {
    associatedtype Machine: StateMachine
    /// Submits an operation for each correlation, in order.
    ///
    /// - Returns: how many were accepted.
    mutating func submit(_ correlations: [UInt64], to pipeline: Pipeline<Machine>) throws(FlotillaError) -> Int
    /// Why a command's reply is no success; `nil` when it is one.
    func refusal(_ reply: Machine.Reply) -> FlotillaError?
    /// Why an answer is no success; `nil` when it is one.
    func refusal(_ answer: Machine.Answer) -> FlotillaError?

    /// Opens a pipeline.
    func open(
        _ cluster: ClusterClient<Machine>, _ handler: @escaping @Sendable (NotificationBatch<Machine>) -> Void
    ) -> Pipeline<Machine>
    /// Goes through what has ended.
    func review(_ batch: NotificationBatch<Machine>, _ ended: (_ correlation: UInt64, _ error: FlotillaError?) -> Void)
}

extension BenchWork {
    func open(
        _ cluster: ClusterClient<Machine>, _ handler: @escaping @Sendable (NotificationBatch<Machine>) -> Void
    ) -> Pipeline<Machine> {
        cluster.pipeline(onNotifications: handler)
    }

    func review(_ batch: NotificationBatch<Machine>, _ ended: (_ correlation: UInt64, _ error: FlotillaError?) -> Void)
    {
        for notification in batch.commands {
            switch notification.result {
            case .success(let applied): ended(notification.correlation, refusal(applied.reply))
            case .failure(let error): ended(notification.correlation, error)
            }
        }
        for notification in batch.queries {
            switch notification.result {
            case .success(let answer): ended(notification.correlation, refusal(answer))
            case .failure(let error): ended(notification.correlation, error)
            }
        }
    }
}

/// Puts and gets.
struct KeyValueWork: BenchWork {
    private let plan: BenchPlan
    private let keys: [KeyValue.Key]
    private var next: Int

    /// Clients start at different keys.
    init(_ plan: BenchPlan, keys: [KeyValue.Key], client: Int) {
        self.plan = plan
        self.keys = keys
        next = keys.count / plan.clients * client
    }

    mutating func submit(
        _ correlations: [UInt64], to pipeline: Pipeline<KeyValue>
    ) throws(FlotillaError) -> Int {
        let first = next
        next = (next + correlations.count) % keys.count
        let count = keys.count
        // Every other one reads when the mix is mixed; they go by different ways, so they are submitted apart.
        let reads = plan.mix == .get ? correlations.count : plan.mix == .mixed ? correlations.count / 2 : 0
        let queries = correlations[..<reads].lazy.enumerated().map { [keys] offset, correlation in
            (query: KeyValue.Query.get(keys[(first + offset) % count]), correlation: correlation)
        }
        let accepted = reads > 0 ? try pipeline.submit(contentsOf: queries, consistency: .consistent) : 0
        guard accepted == reads, reads < correlations.count else { return accepted }
        let commands = correlations[reads...].lazy.enumerated().map { [keys, plan] offset, correlation in
            let key = keys[(first + reads + offset) % count]
            return (command: KeyValue.Command.put(key, plan.value, ifIndex: nil), correlation: correlation)
        }
        return accepted + (try pipeline.submit(contentsOf: commands))
    }

    func refusal(_ reply: KeyValue.Reply) -> FlotillaError? {
        if case .stored = reply { return nil }
        return FlotillaError(.internalError, "a put was answered with \(reply)")
    }

    func refusal(_ answer: KeyValue.Answer) -> FlotillaError? {
        if case .item = answer { return nil }
        return FlotillaError(.internalError, "a get did not find the key that was put before")
    }
}

/// Commands to the counter.
struct CounterWork: BenchWork {
    private let command: Counter.Command

    init(_ plan: BenchPlan, client: Int) { command = Counter.Command(amount: 1, annotation: plan.value) }

    mutating func submit(_ correlations: [UInt64], to pipeline: Pipeline<Counter>) throws(FlotillaError) -> Int {
        try pipeline.submit(
            contentsOf: correlations.lazy.map { [command] in (command: command, correlation: $0) })
    }

    // Replies and answers of the counter have one type; every one of them is a success.
    func refusal(_ reply: Int64) -> FlotillaError? { nil }
}
