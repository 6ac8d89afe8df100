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

/// Submits the operations of a benchmark one after the other.
protocol BenchWork: Sendable {
    associatedtype Machine: StateMachine
    /// Submits the next operation.
    mutating func submitNext(to pipeline: Pipeline<Machine>, correlation: UInt64) throws(FlotillaError)
    /// Why a command's reply is no success; `nil` when it is one.
    func refusal(_ reply: Machine.Reply) -> FlotillaError?
    /// Why an answer is no success; `nil` when it is one.
    func refusal(_ answer: Machine.Answer) -> FlotillaError?
}

/// Puts and gets.
struct KeyValueWork: BenchWork {
    private let plan: BenchPlan
    private let keys: [KeyValue.Key]
    private var next: Int
    private var number = 0

    /// Clients start at different keys.
    init(_ plan: BenchPlan, keys: [KeyValue.Key], client: Int) {
        self.plan = plan
        self.keys = keys
        next = keys.count / plan.clients * client
    }

    mutating func submitNext(to pipeline: Pipeline<KeyValue>, correlation: UInt64) throws(FlotillaError) {
        next = next + 1 < keys.count ? next + 1 : 0
        number &+= 1
        let isGet = plan.mix == .get || (plan.mix == .mixed && number % 2 == 0)
        if isGet {
            try pipeline.submit(query: .get(keys[next]), correlation: correlation)
        } else {
            try pipeline.submit(.put(keys[next], plan.value, ifIndex: nil), correlation: correlation)
        }
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

    mutating func submitNext(to pipeline: Pipeline<Counter>, correlation: UInt64) throws(FlotillaError) {
        try pipeline.submit(command, correlation: correlation)
    }

    // Replies and answers of the counter have one type; every one of them is a success.
    func refusal(_ reply: Int64) -> FlotillaError? { nil }
}
