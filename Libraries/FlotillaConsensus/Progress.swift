import FlotillaWire

/// What a leader knows about one follower's log, and what is on its way there.
struct Progress: Hashable, Sendable {
    struct InFlight: Hashable, Sendable {
        var through: LogIndex
        var bytes: Int
    }

    /// How the leader sends at the moment.
    private(set) var state: ReplicationState = .probe
    /// The first index that the next message carries. While probing it moves only by what the follower answers.
    private(set) var next: LogIndex
    /// The follower's log is known to be the leader's through here, durably.
    private(set) var match: LogIndex = .zero
    /// The highest commit index that was sent.
    private(set) var toldCommit: LogIndex = .zero
    /// Whether a probe takes entries along: not while it is but a guess where the logs part.
    private(set) var probeCarriesEntries = true
    /// Whether a probe is on its way.
    private(set) var isProbing = false
    /// Whether a message is wanted even when there is nothing to append.
    private(set) var isProbeDue = true
    /// Messages with entries that no answer has covered, oldest first.
    private(set) var inFlight: [InFlight] = []
    /// The bytes of their entries.
    private(set) var inFlightBytes = 0
    /// Since when an answer is awaited without any having come.
    private(set) var awaitingSince: Instant?

    init(next: LogIndex) { self.next = next }

    /// How many entries were sent and are not known to be durable there.
    var inFlightEntries: Int { inFlight.last.map { max(0, $0.through - match) } ?? 0 }

    /// Whether one more message may be sent in this window; one always may.
    func hasRoom(bytes: Int, entries: Int) -> Bool {
        inFlight.isEmpty || (inFlightBytes < bytes && inFlightEntries < entries)
    }

    /// Whether a probe may be sent and is of use.
    func mayProbe(hasEntries: Bool) -> Bool { !isProbing && (isProbeDue || hasEntries) }

    /// Whether the follower was sent entries that are committed without being told so.
    func wantsToKnow(commit: LogIndex) -> Bool { toldCommit < min(commit, next.previous) }

    /// Starts over from what is known: after a broken connection, a missing answer, or doubt.
    mutating func reset() {
        next = state == .pipeline ? match.next : max(next, match.next)
        becomeProbe(carriesEntries: true)
    }

    /// Asks for a message soon even when there is nothing to append, unless one is on its way.
    mutating func requestProbe() {
        if state == .snapshot { return }
        if state == .pipeline { reset() }
        isProbeDue = true
    }

    /// Notes that a message was sent whose entries, if it has any, end at `through`.
    mutating func sent(through: LogIndex, bytes: Int, commit: LogIndex, now: Instant) {
        if through >= next {
            inFlight.append(InFlight(through: through, bytes: bytes))
            inFlightBytes += bytes
        }
        switch state {
        case .probe: isProbing = true
        case .pipeline: next = through.next
        case .snapshot: preconditionFailure("entries for a follower that waits for a snapshot")
        }
        isProbeDue = false
        toldCommit = max(toldCommit, commit)
        if awaitingSince == nil { awaitingSince = now }
    }

    /// Notes that a commit notice was sent.
    mutating func told(commit: LogIndex) { toldCommit = max(toldCommit, commit) }

    /// Takes the answer that the log matches through `index`. An older answer than the last changes nothing but the
    /// time that is waited.
    ///
    /// - Parameter base: where the leader's log begins; a follower that needs no snapshot any more is probed again.
    /// - Returns: whether more matches than before.
    mutating func matched(_ index: LogIndex, now: Instant, base: LogIndex) -> Bool {
        let isProgress = index > match
        match = max(match, index)
        dropAnswered()
        if state == .snapshot {
            next = max(next, match.next)
            if next > base { becomeProbe(carriesEntries: true) }
            return isProgress
        }
        if state == .probe, isProbing, index >= next.previous {
            next = max(inFlight.last?.through ?? index, index).next
            state = .pipeline
            isProbing = false
        } else {
            next = max(next, match.next)
        }
        awaitingSince = isProbing || !inFlight.isEmpty ? now : nil
        return isProgress
    }

    /// Takes the answer that the logs part, and that what follows `shared` can't be shared.
    ///
    /// - Parameters:
    ///   - shared: the highest index that the logs may share.
    ///   - isCertain: whether they are known to share it.
    /// - Returns: whether the answer was news; one that an earlier answer has overtaken is not.
    mutating func conflict(shared: LogIndex, isCertain: Bool) -> Bool {
        let following = max(shared, match).next
        guard following < next, state != .snapshot else { return false }
        next = following
        becomeProbe(carriesEntries: isCertain || shared <= match)
        return true
    }

    /// Sends nothing more until the follower says that it has got further, or the progress is reset.
    mutating func awaitSnapshot() {
        becomeProbe(carriesEntries: true)
        isProbeDue = false
        state = .snapshot
    }

    private mutating func becomeProbe(carriesEntries: Bool) {
        state = .probe
        isProbing = false
        isProbeDue = true
        probeCarriesEntries = carriesEntries
        inFlight.removeAll(keepingCapacity: true)
        inFlightBytes = 0
        awaitingSince = nil
    }

    private mutating func dropAnswered() {
        var count = 0
        while count < inFlight.count, inFlight[count].through <= match {
            inFlightBytes -= inFlight[count].bytes
            count += 1
        }
        if count > 0 { inFlight.removeFirst(count) }
    }
}

/// How a leader sends to a follower.
public enum ReplicationState: Hashable, Sendable {
    /// One message at a time, until the follower has said where its log and the leader's meet.
    case probe
    /// Message after message without waiting for answers, as far as the window allows.
    case pipeline
    /// Nothing, because it needs a snapshot and is being sent one.
    case snapshot
}
