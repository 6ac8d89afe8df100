import FlotillaWire
import NIOCore

/// A session with a cluster as its client knows it: gives each command its serial, and knows which are open.
///
/// A serial is open from when it is given out until nobody will ask for the command's reply any more.
struct ClientSession {
    /// How far the serials that are open may lie apart.
    static let window = Limits.openCommandsPerSession

    /// Its number in its cluster.
    let id: UInt64
    private(set) var lowestOpen: UInt64 = 1
    private var next: UInt64 = 1
    /// A bit for each serial of the window: set where it is not open any more, for those from `lowestOpen` on.
    private var closed = [UInt64](repeating: 0, count: Int(window) / 64)

    init(id: UInt64) { self.id = id }

    /// How many serials may be given out before others are closed.
    var room: Int { Int(Self.window - (next - lowestOpen)) }

    /// Gives out the next serial; there must be room for it.
    mutating func take() -> CommandPrefix.Session {
        precondition(room > 0, "a session gives out more serials than may be open")
        defer { next += 1 }
        return CommandPrefix.Session(id: id, serial: next, lowestOpenSerial: lowestOpen)
    }

    /// Nobody will ask for the reply to a command any more; it must have been open.
    mutating func close(_ serial: UInt64) {
        precondition(serial >= lowestOpen && serial < next, "serial \(serial) of a session is not open")
        guard serial == lowestOpen else {
            setClosed(serial, true)
            return
        }
        lowestOpen += 1
        while lowestOpen < next, isClosed(lowestOpen) {
            setClosed(lowestOpen, false)
            lowestOpen += 1
        }
    }

    private func isClosed(_ serial: UInt64) -> Bool {
        let place = Int(serial % Self.window)
        return closed[place / 64] & (1 << (place % 64)) != 0
    }

    private mutating func setClosed(_ serial: UInt64, _ value: Bool) {
        let place = Int(serial % Self.window)
        let bit: UInt64 = 1 << (place % 64)
        if value { closed[place / 64] |= bit } else { closed[place / 64] &= ~bit }
    }
}

/// How far a client is with its session of one cluster.
struct SessionState {
    /// The session; `nil` until one has begun, and after it ended.
    var current: ClientSession?
    /// Whether one is being asked for, or will be after a pause.
    var isOpening = false
    /// Why none has begun when it was last asked for.
    var refusal: FlotillaError?
    var backOff = BackOff(minimum: .milliseconds(4), maximum: .milliseconds(200))
    /// Whether the leader is to be told that the client lives.
    var keepIsDue = false
    /// The leader that was told last.
    var attachedTo: ServerUID?
    /// Whether it is being told.
    var isKeeping = false
}
