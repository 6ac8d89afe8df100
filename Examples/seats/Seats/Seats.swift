import FlotillaMachine
import FlotillaWire
import NIOCore

/// The seats of a hall. Who wants one holds it for a minute, and buys it or lets it go. A seat is free again when the minute
/// is over, or when whoever holds it is gone.
public struct Seats: StateMachine, WireCodable {
    /// How long a seat is held for somebody who does not buy it.
    static let patience = Duration.seconds(60)

    /// What has become of a seat; one that there is nothing of is free.
    private enum Seat: Equatable {
        case held(SessionID)
        case sold
    }

    private var seats: [String: Seat] = [:]

    public init(configuration: MachineConfiguration) {}

    public mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Reply {
        guard let session = context.session else { return .refused }
        switch command {
        case .hold(let name):
            guard seats[name] == nil else { return .refused }
            seats[name] = .held(session)
            watch(name, session, &effects)
        case .buy(let name):
            guard seats[name] == .held(session) else { return .refused }
            seats[name] = .sold
            effects.cancelTimer(name)
        case .release(let name):
            guard seats[name] == .held(session) else { return .refused }
            seats[name] = nil
            effects.cancelTimer(name)
        }
        return .done
    }

    private func watch(_ name: String, _ session: SessionID, _ effects: inout Effects) {
        effects.setTimer(name, after: Self.patience)
        effects.monitor(session)
    }

    /// Is told through the log, so that all members free the same seats at the same place.
    public mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) {
        switch event {
        case .timeout(let name):
            guard case .held(let session) = seats[name] else { return }
            seats[name] = nil
            effects.send(Expired(seat: name), to: session)
        case .down(let session, _):
            for name in seats.keys.sorted() where seats[name] == .held(session) {
                seats[name] = nil
                effects.cancelTimer(name)
            }
        case .nodeUp, .nodeDown, .versionChanged: break
        }
    }

    /// Timers and what is watched are the leader's, so the next leader sets and watches anew.
    public func entered(_ role: MachineRole, effects: inout Effects) {
        guard role == .leader else { return }
        for name in seats.keys.sorted() {
            if case .held(let session) = seats[name] { watch(name, session, &effects) }
        }
    }

    public func answer(_ query: Query, at context: QueryContext) -> Answer {
        switch seats[query.seat] {
        case nil: .free
        case .held(let session): .held(by: session)
        case .sold: .sold
        }
    }

    // MARK: The whole state, for snapshots

    /// Equal states must give equal bytes, so the seats are written in the order of their names.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeList(seats.sorted { $0.key < $1.key }) { buffer, entry in
            buffer.writeText(entry.key)
            if case .held(let session) = entry.value {
                session.encode(into: &buffer)
            } else {
                SessionID(0).encode(into: &buffer)
            }
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let entries = try reader.list(limit: 100_000) { (reader) throws(WireError) -> (String, SessionID) in
            (try reader.string(), try SessionID(from: &reader))
        }
        for (name, session) in entries { seats[name] = session == SessionID(0) ? .sold : .held(session) }
    }
}
