import FlotillaMachine
import FlotillaWire
import NIOCore

/// A machine for tests: lists by key, to which numbers are appended and which are read whole. A read shows the order
/// of everything that was ever appended, so nothing that goes wrong stays hidden.
///
/// With every append it sets a timer and watches the session of who appends. It is told of both in the end, whatever
/// becomes of leaders, so what it waits for goes to nothing when nothing more is appended.
package struct AppendList: StateMachine {
    /// Appends a number to the list of a key.
    package struct Command: WireCodable, Equatable {
        package var key: UInt64
        package var element: UInt64

        package init(key: UInt64, element: UInt64) {
            self.key = key
            self.element = element
        }

        package func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(key)
            buffer.writeLittle(element)
        }

        package init(from reader: inout WireReader) throws(WireError) {
            key = try reader.integer()
            element = try reader.integer()
        }
    }

    /// Asks for the list of a key.
    package struct Query: WireCodable, Equatable {
        package var key: UInt64

        package init(key: UInt64) { self.key = key }

        package func encode(into buffer: inout ByteBuffer) { buffer.writeLittle(key) }
        package init(from reader: inout WireReader) throws(WireError) { key = try reader.integer() }
    }

    /// A whole list.
    package struct Answer: WireCodable, Equatable {
        package var elements: [UInt64]

        package init(elements: [UInt64]) { self.elements = elements }

        package func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(UInt32(elements.count))
            for element in elements { buffer.writeLittle(element) }
        }

        package init(from reader: inout WireReader) throws(WireError) {
            let count = Int(try reader.integer(as: UInt32.self))
            guard count * 8 <= reader.remaining else { throw WireError(.truncated, "\(count) elements") }
            elements = []
            for _ in 0..<count { elements.append(try reader.integer()) }
        }
    }

    private var lists: [UInt64: [UInt64]] = [:]
    /// What each command found: members that run another version at it end up with another number.
    private var digest: UInt64 = 0
    /// The keys whose timers run, and the sessions that it watches.
    private var armed: Set<UInt64> = []
    private var watched: Set<SessionID> = []

    package init(configuration: MachineConfiguration) {}

    /// Appends, and replies with the length of the list.
    package mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Int64 {
        lists[command.key, default: []].append(command.element)
        digest =
            (digest ^ context.index.rawValue << 8 ^ UInt64(context.machineVersion.rawValue)) &* 0x9e37_79b9_7f4a_7c15
        armed.insert(command.key)
        effects.setTimer("\(command.key)", after: Self.timer)
        if let session = context.session, watched.insert(session).inserted { effects.monitor(session) }
        return Int64(lists[command.key]?.count ?? 0)
    }

    private static let timer = Duration.milliseconds(150)

    package mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) {
        switch event {
        case .timeout(let name): if let key = UInt64(name) { armed.remove(key) }
        case .down(let session, _): watched.remove(session)
        case .versionChanged(let from, let to): digest ^= UInt64(from.rawValue) << 32 | UInt64(to.rawValue)
        case .nodeUp, .nodeDown: break
        }
    }

    package func entered(_ role: MachineRole, effects: inout Effects) {
        guard role == .leader else { return }
        for key in armed.sorted() { effects.setTimer("\(key)", after: Self.timer) }
        for session in watched.sorted() { effects.monitor(session) }
    }

    /// What it waits for.
    package var overview: [NamedValue] {
        [NamedValue(Self.armedName, UInt64(armed.count)), NamedValue(Self.digestName, digest)]
            + watched.sorted().map { NamedValue(Self.watchedName, $0.rawValue) }
    }

    package static let versions: ClosedRange<MachineVersion> = 0...3
    package static let digestName = "list_digest"
    package static let armedName = "list_timers"
    package static let watchedName = "list_watched_session"

    package func answer(_ query: Query, at context: QueryContext) -> Answer {
        Answer(elements: lists[query.key] ?? [])
    }
}

extension AppendList {
    /// Small, so that a snapshot of a few lists has more than one piece.
    private static let pieceBytes = 256

    /// The keys under which snapshots hold what it waits for.
    private static let armedKey = UInt64.max
    private static let watchedKey = UInt64.max - 1
    private static let digestKey = UInt64.max - 2

    /// The lists in the order of their keys: 8 bytes key, 4 bytes count and the elements of each.
    package func snapshot() -> StateSnapshot? {
        var lists = lists
        if !armed.isEmpty { lists[Self.armedKey] = armed.sorted() }
        if !watched.isEmpty { lists[Self.watchedKey] = watched.sorted().map(\.rawValue) }
        if digest != 0 { lists[Self.digestKey] = [digest] }
        let all = lists
        return StateSnapshot(from: nil as ArraySlice<UInt64>?) { rest in
            var keys = rest ?? all.keys.sorted()[...]
            defer { rest = keys }
            var piece = ByteBuffer()
            while piece.readableBytes < Self.pieceBytes, let key = keys.popFirst() {
                piece.writeLittle(key)
                Answer(elements: all[key] ?? []).encode(into: &piece)
            }
            return piece.readableBytes > 0 ? piece : nil
        }
    }

    package mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        var reader = WireReader(piece)
        repeat {
            let key: UInt64 = try reader.integer()
            let elements = try Answer(from: &reader).elements
            guard lists[key] == nil, !elements.isEmpty else {
                throw WireError(.malformed, "list \(key) comes twice or is empty")
            }
            switch key {
            case Self.armedKey: armed = Set(elements)
            case Self.watchedKey: watched = Set(elements.map { SessionID($0) })
            case Self.digestKey: digest = elements[0]
            default: lists[key] = elements
            }
        } while reader.remaining > 0
    }
}
