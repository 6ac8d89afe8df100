import ArgumentParser
import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire

struct CounterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "counter",
        abstract: "Uses a cluster that counts. Its name must be given by --cluster; kv is the default here too.",
        subcommands: [Add.self, Get.self])

    struct Add: ControlCommand {
        static let configuration = CommandConfiguration(abstract: "Adds a number and prints the new value.")

        @Argument(help: "The number; may be below zero.") var amount: Int64
        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let result = try await global.withClient(context) { client in
                try await global.cluster(client, "counter", of: Counter.self).process(Counter.Command(amount: amount))
            }
            if global.output == .json {
                try context.json(CounterView(value: result.reply, index: result.index.rawValue))
            } else {
                context.output.line("\(result.reply)")
            }
        }
    }

    struct Get: ControlCommand {
        static let configuration = CommandConfiguration(abstract: "Prints the value.")

        @Option(help: "How fresh the answer must be.") var consistency: QueryConsistency = .consistent
        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let value = try await global.withClient(context) { client in
                try await global.cluster(client, "counter", of: Counter.self).query(
                    Nothing(), consistency: consistency)
            }
            if global.output == .json {
                try context.json(CounterView(value: value))
            } else {
                context.output.line("\(value)")
            }
        }
    }
}

/// What the counter prints as JSON.
struct CounterView: Encodable {
    var value: Int64
    var index: UInt64?
}
