import FlotillaWire

/// What has happened in a world, in order: a hash over all of it, and the latest part for people.
///
/// Every event counts for the hash, so two runs with the same hash have done the same. Only the latest events are
/// kept, as numbers; they become words when somebody wants to read them.
package struct Trace {
    /// The kinds of events.
    package enum Kind: UInt8 {
        case frames
        case dialled
        case connectionClosed
        case processStarted
        case processReady
        case processEnded
        case machineOff
        case fault
        case faultEnded
        case role
        case commit
        case configuration
        case truncation
        case invoked
        case answered
        case rejected
        case unknown
        case phase
    }

    /// One event. What the four numbers mean depends on the kind.
    package struct Event: Equatable {
        /// Nanoseconds since the world began.
        package var time: UInt64
        package var kind: Kind
        package var a: UInt64
        package var b: UInt64
        package var c: UInt64
        package var d: UInt64
        /// Words that belong to the event, where there are any.
        package var note: String?
    }

    private let capacity: Int
    private var ring: [Event] = []
    private var start = 0
    /// The hash over all events so far.
    package private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    /// How many events there were.
    package private(set) var count: UInt64 = 0
    /// Gets every event as it happens, for whoever wants the whole trace.
    package var listener: ((Event) -> Void)?

    /// A trace that keeps so many of the latest events.
    package init(keeping capacity: Int = 400) {
        self.capacity = capacity
        ring.reserveCapacity(capacity)
    }

    /// Adds an event.
    package mutating func add(
        _ time: UInt64, _ kind: Kind, _ a: UInt64 = 0, _ b: UInt64 = 0, _ c: UInt64 = 0, _ d: UInt64 = 0,
        note: String? = nil
    ) {
        count += 1
        for word in [time, UInt64(kind.rawValue), a, b, c, d] { mix(word) }
        if let note { for byte in note.utf8 { mix(UInt64(byte)) } }
        let event = Event(time: time, kind: kind, a: a, b: b, c: c, d: d, note: note)
        listener?(event)
        if ring.count < capacity {
            ring.append(event)
        } else {
            ring[start] = event
            start = (start + 1) % capacity
        }
    }

    private mutating func mix(_ word: UInt64) {
        hash = (hash ^ word) &* 0x0000_0100_0000_01b3
        hash ^= hash >> 29
    }

    /// The latest events, oldest first.
    package var latest: [Event] { Array(ring[start...] + ring[..<start]) }
}

extension Trace.Event: CustomStringConvertible {
    /// One line: the time in milliseconds and what happened.
    package var description: String { "\(Self.milliseconds(time)) \(words)" }

    private static func milliseconds(_ time: UInt64) -> String {
        let micros = String(time / 1_000 % 1_000)
        let text = "\(time / 1_000_000).\(String(repeating: "0", count: 3 - micros.count))\(micros)"
        return String(repeating: " ", count: max(0, 10 - text.count)) + text
    }

    private var words: String {
        switch kind {
        case .frames: "\(Self.host(a)) > \(Self.host(b)) \(note ?? "") (\(c) bytes, \(String(d, radix: 16)))"
        case .dialled: "\(Self.host(a)) dials \(Self.host(b)): \(c == 1 ? "connected" : "failed")"
        case .connectionClosed: "\(Self.host(a)) sees its connection to \(Self.host(b)) closed"
        case .processStarted: "\(Self.host(a)) starts, life \(b)"
        case .processReady: "\(Self.host(a)) serves, incarnation \(b), \(c) servers recovered"
        case .processEnded: "\(Self.host(a)) ends: \(note ?? "")"
        case .machineOff: "\(Self.host(a)) loses power"
        case .fault: "FAULT \(a): \(note ?? "")"
        case .faultEnded: "fault \(a) is over"
        case .role: "\(Self.host(a)) \(note ?? "") in term \(b), log through \(c), commit \(d)"
        case .commit: "\(Self.host(a)) commits \(note ?? "") through \(b) in term \(c)"
        case .configuration: "\(Self.host(a)) \(note ?? "") goes by the configuration at \(b)"
        case .truncation: "\(Self.host(a)) truncates \(note ?? "") to \(b), epoch \(c)"
        case .invoked: "client \(a) asks \(note ?? "") [\(b)]"
        case .answered: "client \(a) hears \(note ?? "") [\(b)]"
        case .rejected: "client \(a) is refused [\(b)]: \(note ?? "")"
        case .unknown: "client \(a) will never know [\(b)]"
        case .phase: "--- \(note ?? "")"
        }
    }

    /// Hosts are numbered: nodes from 0, clients from 100.
    static func host(_ number: UInt64) -> String { number < 100 ? "n\(number + 1)" : "client \(number - 100)" }
}
