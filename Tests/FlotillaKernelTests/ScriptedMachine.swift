import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Synchronization

/// A text as a command, a message or a reply.
struct Text: WireCodable, Equatable, ExpressibleByStringLiteral {
    var text: String
    init(_ text: String) { self.text = text }
    init(stringLiteral value: String) { text = value }
    func encode(into buffer: inout ByteBuffer) { buffer.writeText(text) }
    init(from reader: inout WireReader) throws(WireError) { text = try reader.string() }
}

/// A machine that wants done what its commands say, and remembers what it is told.
struct Scripted: StateMachine {
    /// What machines were told that is no part of their state, of all nodes together.
    final class Recorder: Sendable {
        private let notes = Mutex<[String]>([])
        func note(_ text: String) { notes.withLock { $0.append(text) } }
        var all: [String] { notes.withLock { $0 } }
        func count(_ text: String) -> Int { all.count { $0 == text } }
    }

    static let versions: ClosedRange<MachineVersion> = 0...2
    let recorder: Recorder
    /// What it does when its server leads.
    var atLead: [String] = []
    var told: [String] = []

    init(_ recorder: Recorder) { self.recorder = recorder }
    init(configuration: MachineConfiguration) { self.init(Recorder()) }

    mutating func apply(_ command: Text, at context: ApplyContext, effects: inout Effects) -> Text {
        let words = command.text.split(separator: " ").map(String.init)
        if words[0] == "lead" {
            atLead.append(words.dropFirst().joined(separator: " "))
        } else {
            Self.want(words, from: context.session, &effects)
        }
        if words[0] == "say" { told.append(words[1]) }
        return Text("did \(words[0])")
    }

    private static func want(_ words: [String], from session: SessionID?, _ effects: inout Effects) {
        switch words[0] {
        case "timer": effects.setTimer(words[1], after: .milliseconds(Int(words[2]) ?? 0))
        case "alarm": effects.setTimer(words[1], at: LeaderTime(nanosecondsSince1970: UInt64(words[2]) ?? 0))
        case "cancel": effects.cancelTimer(words[1])
        case "watch":
            if let id = UInt64(words[1]) { effects.monitor(SessionID(id)) }
        case "unwatch":
            if let id = UInt64(words[1]) { effects.demonitor(SessionID(id)) }
        case "node":
            if let node = try? NodeName(words[1]) { effects.monitor(node) }
        case "nonode":
            if let node = try? NodeName(words[1]) { effects.demonitor(node) }
        case "append": effects.append(Text("say \(words[1])"))
        case "notify":
            if let session { effects.append(Text("say \(words[1])"), reply: .notify(session, correlation: 77)) }
        case "send":
            if let session { effects.send(Text(words[1]), to: session, mark: .event) }
        case "local":
            if let session { effects.send(Text(words[1]), to: session, isLocal: true) }
        case "call": effects.call("handler", Text(words[1]))
        case "aux": effects.tellAux(Text(words[1]))
        case "read":
            let indexes = words.dropFirst().compactMap { UInt64($0).map { LogIndex($0) } }
            effects.readLog(indexes) { entries, effects in
                let read = indexes.indices.map { position in
                    entries[position].flatMap { try? Text(wholePiece: $0) }?.text ?? "nothing"
                }
                effects.append(Text("say " + read.map { $0.replacing(" ", with: "_") }.joined(separator: "+")))
            }
        case "readon":
            guard let node = try? NodeName(words[1]) else { return }
            effects.readLog([LogIndex(UInt64(words[2]) ?? 0)], on: node) { entries, effects in
                effects.tellAux(Text("read_\(entries[0] == nil ? "nothing" : "one")"))
            }
        case "collect": effects.collectGarbage()
        default: break
        }
    }

    mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) throws {
        switch event {
        case .down(let session, let reason): told.append("down \(session) \(reason)")
        case .nodeUp(let node): told.append("up \(node)")
        case .nodeDown(let node): told.append("nodedown \(node)")
        case .timeout("fatal"): throw FlotillaError(.internalError, "a timer that it can't bear")
        case .timeout(let name): told.append("timeout \(name)")
        case .versionChanged(let from, let to): told.append("version \(from) to \(to)")
        }
    }

    func entered(_ role: MachineRole, effects: inout Effects) {
        recorder.note("\(role)")
        guard role == .leader else { return }
        for action in atLead { Self.want(action.split(separator: " ").map(String.init), from: nil, &effects) }
    }

    func tick(at time: LeaderTime, effects: inout Effects) { recorder.note("tick") }

    func snapshotInstalled(at index: LogIndex, replacing old: Scripted, effects: inout Effects) {
        recorder.note("installed \(told.count) for \(old.told.count)")
    }

    static func makeAux(configuration: MachineConfiguration) -> [String] { [] }

    func handle(
        _ event: AuxEvent<Text>, aux: inout [String], at context: AuxContext, effects: inout Effects
    ) -> Text? {
        switch event {
        case .call("silent"): return nil
        case .call(let text):
            return Text("\(context.role) \(text.text) \(aux.joined(separator: ","))")
        case .cast(let text):
            aux.append(text.text)
            recorder.note("cast \(text.text)")
        case .applied: recorder.note("aux applied")
        case .tick: recorder.note("aux tick")
        }
        return nil
    }

    func answer(_ query: Nothing, at context: QueryContext) -> Text { Text(told.joined(separator: "; ")) }

    // MARK: Snapshots

    func snapshot() -> StateSnapshot? {
        let pieces = (atLead.map { "lead \($0)" } + told).map { text in
            var piece = ByteBuffer()
            Text(text).encode(into: &piece)
            return piece
        }
        return StateSnapshot(from: pieces[...]) { $0.popFirst() }
    }

    mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        let text = try Text(wholePiece: piece).text
        if text.hasPrefix("lead ") { atLead.append(String(text.dropFirst(5))) } else { told.append(text) }
    }
}

extension MachineRegistry {
    /// The machine under the name "scripted", whose notes go to a recorder.
    static func scripted(_ recorder: Scripted.Recorder) -> MachineRegistry {
        var registry = MachineRegistry.shipped
        registry.register("scripted") { _ in MachineHost(Scripted(recorder), aux: []) }
        return registry
    }
}
