import ArgumentParser
import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore

extension QueryConsistency: ExpressibleByArgument {
    public init?(argument: String) {
        guard let found = Self.allCases.first(where: { "\($0)" == argument }) else { return nil }
        self = found
    }
    public static var allValueStrings: [String] { allCases.map { "\($0)" } }
}

struct PutCommand: ControlCommand {
    static let configuration = CommandConfiguration(commandName: "put", abstract: "Stores a value under a key.")

    @Argument(help: "The key.") var key: String
    @Argument(help: "The value.") var value: String
    @Option(
        help: ArgumentHelp(
            "Only if the key's last put has this index; 0: only if the key is absent.", valueName: "index"))
    var ifIndex: UInt64?
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let result = try await global.withClient(context) { client in
            try await global.cluster(client, "kv", of: KeyValue.self).process(
                .put(KeyValue.Key(key), ByteBuffer(string: value), ifIndex: ifIndex.map { LogIndex($0) }))
        }
        try result.reply.check(key: key)
        if global.output == .json {
            try context.json(WrittenView(result))
        } else {
            context.output.line("ok index=\(result.index)")
        }
    }
}

struct GetCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Prints the value of a key; exits with 1 when there is none.")

    @Argument(help: "The key.") var key: String
    @Option(help: "How fresh the answer must be.") var consistency: QueryConsistency = .consistent
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let answer = try await global.withClient(context) { client in
            try await global.cluster(client, "kv", of: KeyValue.self).query(
                .get(KeyValue.Key(key)), consistency: consistency)
        }
        guard case .item(let item) = answer else {
            throw ControlFailure(ControlFailure.refused, "not found: \(key)")
        }
        if global.output == .json {
            try context.json(ItemView(item))
        } else {
            context.output.write(Array(item.value.readableBytesView) + [UInt8(ascii: "\n")])
        }
    }
}

struct DeleteCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Removes a key; exits with 1 when it is not there.")

    @Argument(help: "The key.") var key: String
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let result = try await global.withClient(context) { client in
            try await global.cluster(client, "kv", of: KeyValue.self).process(.delete(KeyValue.Key(key)))
        }
        try result.reply.check(key: key)
        if global.output == .json {
            try context.json(WrittenView(result))
        } else {
            context.output.line("ok index=\(result.index)")
        }
    }
}

struct ListCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Prints keys and values in the order of the keys, key TAB value a line.",
        discussion: "Pages are read one by one; each is consistent, all together are no snapshot.")

    @Option(help: "Only keys that begin with this.") var prefix = ""
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        try await global.withClient(context) { client in
            let cluster = try await global.cluster(client, "kv", of: KeyValue.self)
            var after: KeyValue.Key?
            var isFirst = true
            if global.output == .json { context.output.write([UInt8(ascii: "[")]) }
            while true {
                let query = KeyValue.Query.list(prefix: Array(prefix.utf8), after: after, limit: Limits.listKeys)
                guard case .page(let items, let more) = try await cluster.query(query) else {
                    throw ControlFailure(ControlFailure.refused, "the cluster answered something else than a page")
                }
                try write(items, isFirst: isFirst, context)
                isFirst = isFirst && items.isEmpty
                after = items.last?.key ?? after
                guard more, !items.isEmpty else { break }
            }
            if global.output == .json { context.output.line("]") }
        }
    }

    private func write(_ items: [KeyValue.Item], isFirst: Bool, _ context: ControlContext) throws {
        var bytes: [UInt8] = []
        for (position, item) in items.enumerated() {
            if global.output == .json {
                if !isFirst || position > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes += [UInt8(ascii: "\n")]
                bytes += try JSON.encode(ItemView(item))
            } else {
                bytes += item.key.bytes + [UInt8(ascii: "\t")] + item.value.readableBytesView + [UInt8(ascii: "\n")]
            }
        }
        if !bytes.isEmpty { context.output.write(bytes) }
    }
}

extension KeyValue.Reply {
    /// Throws what the machine refused.
    func check(key: String) throws {
        switch self {
        case .stored, .deleted: return
        case .notFound: throw ControlFailure(ControlFailure.refused, "not found: \(key)")
        case .conflict(let current):
            let state = current.map { "its last put has the index \($0)" } ?? "it is absent"
            throw ControlFailure(ControlFailure.refused, "conflict: \(key): \(state)")
        case .refused(let reason): throw ControlFailure(ControlFailure.refused, "refused: \(reason)")
        }
    }
}
