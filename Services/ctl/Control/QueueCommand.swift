import ArgumentParser
import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore

struct QueueCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Uses a cluster that is a queue. Its name must be given by --cluster; kv is the default here too.",
        subcommands: [Enqueue.self, Consume.self, Settle.self, Dead.self, Status.self])

    struct Enqueue: ControlCommand {
        static let configuration = CommandConfiguration(abstract: "Adds a message and prints its number.")

        @Argument(help: "The message.") var message: String
        @Option(help: "A key under which the message is taken once.") var key: String?
        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let command = Queue.Command.enqueue(
                ByteBuffer(string: message), key: key.map { ByteBuffer(string: $0) })
            let reply = try await global.withClient(context) { client in
                try await global.cluster(client, "queue", of: Queue.self).process(command).reply
            }
            guard case .enqueued(let id, let isNew) = reply else {
                throw ControlFailure(ControlFailure.refused, "the queue \(global.cluster) is full")
            }
            if global.output == .json {
                try context.json(EnqueuedView(id: id, isNew: isNew))
            } else {
                context.output.line("\(id)")
                if !isNew { context.errors.line("a message with this key was there already") }
            }
        }
    }

    struct Consume: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints messages, each behind its number and a TAB.",
            discussion: """
                Waits for the messages until --timeout is over. What is not settled goes back into the queue when the command \
                ends; it can still be settled by its number until somebody else takes it.
                """)

        @Option(help: "How many messages.") var count: Int = 1
        @Flag(help: "Settles each message once it is printed.") var settle = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard (1...4_096).contains(count) else { throw ValidationError("--count \(count): 1 to 4096 are possible") }
        }

        func execute(_ context: ControlContext) async throws {
            let printed = try await global.withClient(context) { client in
                let queue = try await global.cluster(client, "queue", of: Queue.self)
                return try await consume(try await queue.consume(prefetch: UInt32(count)), context)
            }
            if printed == 0 {
                throw ControlFailure(ControlFailure.refused, "the queue \(global.cluster) had no message in time")
            }
        }

        /// Prints what comes in time.
        private func consume(_ consumer: QueueConsumer, _ context: ControlContext) async throws -> Int {
            try await withThrowingTaskGroup(of: Int?.self) { group in
                group.addTask { try await print(consumer, context) }
                // A limit, and nothing that is waited for.
                group.addTask {
                    try await Task.sleep(for: global.duration)
                    return nil
                }
                let first = try await group.next() ?? nil
                group.cancelAll()
                if let first { return first }
                return try await group.next().flatMap { $0 } ?? 0
            }
        }

        private func print(_ consumer: QueueConsumer, _ context: ControlContext) async throws -> Int {
            var printed = 0
            for try await delivery in consumer {
                if global.output == .json {
                    try context.json(DeliveryView(delivery))
                } else {
                    context.output.line("\(delivery.id)\t\(String(buffer: delivery.body))")
                }
                printed += 1
                if settle { try await consumer.settle([delivery.id]) }
                if printed == count { break }
            }
            return printed
        }
    }

    struct Settle: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes messages that nobody holds for good, by their numbers.")

        @Argument(help: "The numbers.") var ids: [UInt64]
        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let reply = try await global.withClient(context) { client in
                try await global.cluster(client, "queue", of: Queue.self).process(.settle(ids)).reply
            }
            guard case .done(let count) = reply, count == ids.count else {
                throw ControlFailure(ControlFailure.refused, "not all of these messages are there to be settled")
            }
        }
    }

    struct Dead: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the dead letters, each behind its number and a TAB.")

        @Option(help: "How many at most.") var count: UInt32 = 1_000
        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let answer = try await global.withClient(context) { client in
                try await global.cluster(client, "queue", of: Queue.self).query(.dead(after: 0, limit: count))
            }
            guard case .messages(let letters) = answer else { return }
            for letter in letters {
                if global.output == .json {
                    try context.json(DeliveryView(letter))
                } else {
                    context.output.line("\(letter.id)\t\(String(buffer: letter.body))")
                }
            }
        }
    }

    struct Status: ControlCommand {
        static let configuration = CommandConfiguration(abstract: "Prints how much there is in the queue.")

        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let answer = try await global.withClient(context) { client in
                try await global.cluster(client, "queue", of: Queue.self).query(.status)
            }
            guard case .status(let status) = answer else { return }
            if global.output == .json { return try context.json(QueueStatusView(status)) }
            context.output.line("ready\t\(status.ready)")
            context.output.line("held\t\(status.held)")
            context.output.line("dead\t\(status.dead)")
            context.output.line("consumers\t\(status.consumers)")
            context.output.line("bytes\t\(status.bytes)")
        }
    }
}

/// What a queue prints as JSON about a message that was added.
struct EnqueuedView: Encodable {
    var id: UInt64
    var isNew: Bool

    enum CodingKeys: String, CodingKey {
        case id
        case isNew = "is_new"
    }
}

/// What a queue prints as JSON about a message.
struct DeliveryView: Encodable {
    var id: UInt64
    var deliveries: UInt32
    var message: String

    init(_ delivery: Queue.Delivery) {
        id = delivery.id
        deliveries = delivery.count
        message = String(buffer: delivery.body)
    }
}

/// What a queue prints as JSON about itself.
struct QueueStatusView: Encodable {
    var ready: Int
    var held: Int
    var dead: Int
    var consumers: Int
    var bytes: Int

    init(_ status: Queue.Status) {
        (ready, held, dead) = (status.ready, status.held, status.dead)
        (consumers, bytes) = (status.consumers, status.bytes)
    }
}
