import FlotillaWire
import Testing

@testable import FlotillaConsensus

/// A message on its way, with the entries that the runtime would have attached.
struct Envelope {
    var from: Int
    var to: Int
    var message: ConsensusMessage
    var entries: [SimulatedEntry] = []
}

/// A whole cluster in one thread, with network, disks and clock in the hand of the test.
///
/// Servers are numbered from 1, as in the figures of the Raft paper. Nothing happens by itself: messages wait in
/// `network` until they are delivered, and writes wait on a held disk until they are synced. Every step is followed by
/// the check of all invariants of the server and of the cluster.
final class Fleet {
    var servers: [Int: RaftServer] = [:]
    var logs: [Int: SimulatedLog] = [:]
    /// Messages that were sent and not delivered, oldest first.
    var network: [Envelope] = []
    /// Everything that was ever sent.
    var sent: [Envelope] = []
    /// The actions that are neither messages nor writes, by server, in order.
    var notes: [Int: [Action]] = [:]
    /// Disks that make nothing durable until they are synced.
    var heldDisks: Set<Int> = []
    /// Pairs of servers between which nothing passes, each with the lower number first.
    var cuts: Set<[Int]> = []
    /// Which messages are lost when they would be delivered.
    var loses: (Envelope) -> Bool = { _ in false }
    var now = Instant(nanoseconds: 1_000_000_000)
    var checker = SafetyChecker()
    var settings: RaftSettings
    let members: [Int]
    private var entryID = 0
    private var seed: UInt64

    /// - Parameters:
    ///   - logs: the terms of each server's log; servers that are not named have none.
    ///   - terms: each server's term, when it is later than that of its log's end.
    ///   - nonVoters: those of the servers that do not vote.
    ///   - spare: how many servers there are beyond the members, made as those are that join later.
    init(
        _ count: Int, logs: [Int: String] = [:], terms: [Int: Term] = [:], nonVoters: Set<Int> = [], spare: Int = 0,
        settings: RaftSettings = RaftSettings(), seed: UInt64 = 1
    ) {
        self.settings = settings
        self.seed = seed
        members = Array(1...count + spare)
        let configuration = Fleet.configuration(Array(1...count), nonVoters: nonVoters)
        for number in members {
            var log = SimulatedLog(initialConfiguration: configuration)
            // Entries of one term at one index are the same wherever they are.
            log.entries = Fleet.terms(logs[number] ?? "").enumerated().map { offset, term in
                SimulatedEntry(term: term, id: -Int(term.rawValue) * 1_000 - offset)
            }
            log.diskEntries = log.entries
            log.diskHardState = HardState(term: terms[number] ?? log.entries.last?.term ?? .zero, vote: nil)
            self.logs[number] = log
        }
        for number in members { start(number) }
        for number in members { connect(number) }
    }

    static func uid(_ number: Int) -> ServerUID { ServerUID(high: 0, low: UInt64(number)) }

    static func terms(_ text: String) -> [Term] {
        text.split(separator: " ").compactMap { UInt64($0).map { Term($0) } }
    }

    static func configuration(_ members: [Int], nonVoters: Set<Int> = []) -> ClusterConfiguration {
        ClusterConfiguration(members: members.map { member($0, nonVoters.contains($0) ? .nonVoter : .voter) })
    }

    static func member(_ number: Int, _ role: MemberRole = .voter) -> Member {
        guard let id = try? ServerID("c@n\(number)") else { preconditionFailure("c@n\(number) is a name") }
        return Member(
            id: id, uid: uid(number), nodeID: NodeID(high: 1, low: UInt64(number)),
            address: NodeAddress(host: "n\(number)", port: 1), role: role)
    }

    subscript(number: Int) -> RaftServer {
        guard let server = servers[number] else { preconditionFailure("server \(number) is down") }
        return server
    }

    func log(of number: Int) -> String { logs[number]?.entries.text ?? "" }

    /// The numbers of the servers that lead, whatever their terms.
    var leaders: [Int] { members.filter { servers[$0]?.role == .leader } }

    // MARK: Servers

    func start(_ number: Int) {
        guard let log = logs[number] else { return }
        seed &+= 1
        servers[number] = RaftServer(
            uid: Fleet.uid(number), settings: settings, recovered: log.recovered,
            seed: seed &* 0x9E37_79B9 &+ UInt64(number), now: now)
    }

    /// Steps one event at one server and carries out what follows, disks and flush included.
    func step(_ number: Int, _ event: Event, entries: [SimulatedEntry] = []) {
        guard servers[number] != nil else { return }
        var actions = Actions()
        servers[number]?.step(event, now: now, actions: &actions)
        carryOut(actions, at: number, entries: entries)
        if !heldDisks.contains(number) { sync(number) }
    }

    /// Ends the turn of one server.
    func flush(_ number: Int) {
        guard let log = logs[number], servers[number] != nil else { return }
        var actions = Actions()
        servers[number]?.flush(log: log, now: now, actions: &actions)
        carryOut(actions, at: number, entries: [])
    }

    /// Appends commands at a leader; the first index, or `nil` when it refuses.
    @discardableResult
    func propose(_ count: Int = 1, at number: Int) -> LogIndex? {
        guard case .success(let first)? = servers[number]?.propose(count: count) else { return nil }
        append(count, at: number)
        if !heldDisks.contains(number) { sync(number) }
        flush(number)
        return first
    }

    /// Appends the end of the cluster at a leader; its index, or `nil` when it refuses.
    @discardableResult
    func end(at number: Int) -> LogIndex? {
        guard case .success(let index)? = servers[number]?.proposeEnd() else { return nil }
        append(1, at: number, isEnd: true)
        if !heldDisks.contains(number) { sync(number) }
        flush(number)
        return index
    }

    func refusal(at number: Int) -> ProposalRefusal? {
        if case .failure(let refusal)? = servers[number]?.propose(count: 1) { refusal } else { nil }
    }

    func changeConfiguration(at number: Int, to configuration: ClusterConfiguration) {
        var actions = Actions()
        servers[number]?.appendConfiguration(configuration, now: now, actions: &actions)
        carryOut(actions, at: number, entries: [])
        if !heldDisks.contains(number) { sync(number) }
        flush(number)
    }

    /// Changes the members as an operator would; why it was refused, if it was.
    @discardableResult
    func change(_ change: MembershipChange, at number: Int) -> MembershipRefusal? {
        var actions = Actions()
        let result = servers[number]?.changeMembership(change, now: now, actions: &actions)
        carryOut(actions, at: number, entries: [])
        if !heldDisks.contains(number) { sync(number) }
        flush(number)
        if case .failure(let refusal)? = result { return refusal }
        return nil
    }

    private func append(
        _ count: Int, at number: Int, configuration: ClusterConfiguration? = nil, isEnd: Bool = false
    ) {
        guard let server = servers[number] else { return }
        let new = (0..<count).map { _ in
            entryID += 1
            return SimulatedEntry(term: server.term, id: entryID, configuration: configuration, isEnd: isEnd)
        }
        logs[number]?.append(new, epoch: server.logEpoch)
    }

    private func carryOut(_ actions: Actions, at number: Int, entries: [SimulatedEntry]) {
        var wanted: (index: LogIndex, term: Term)?
        var isFetched = false
        for action in actions.list {
            switch action {
            case .send(let message, to: let target): send(message, from: number, to: Int(target.low))
            case .persistHardState(let state): logs[number]?.pending.append(.hardState(state))
            case .truncate(from: let index, epoch: let epoch):
                logs[number]?.truncate(from: index)
                #expect(epoch == servers[number]?.logEpoch)
            case .accept(skip: let skip):
                logs[number]?.append(Array(entries.dropFirst(skip)), epoch: self[number].logEpoch)
            case .appendNoop: append(1, at: number)
            case .appendConfiguration(index: _, let configuration): append(1, at: number, configuration: configuration)
            case .contradicted(index: let index):
                Issue.record("server \(number) was sent an entry at \(index) that contradicts a committed one")
            case .sendSnapshot(to: let target): offerSnapshot(to: Int(target.low), from: number)
            case .fetchEntries(from: let index):
                logs[number]?.fetched = index
                isFetched = true
            case .wantSnapshot(index: let index, term: let term, from: _): wanted = (index, term)
            case .resetLog(after: let index, epoch: let epoch):
                logs[number]?.reset()
                #expect(epoch == servers[number]?.logEpoch && index == logs[number]?.base)
            case .readReady, .readLost, .roleChanged, .leaderChanged, .transferEnded:
                notes[number, default: []].append(action)
                checker.note(action, at: number)
            }
        }
        check(number)
        if isFetched {
            step(number, .entriesFetched)
            flush(number)
        }
        if let wanted { install(through: wanted.index, term: wanted.term, at: number) }
    }

    private func offerSnapshot(to target: Int, from number: Int) {
        guard let server = servers[number] else { return }
        let offer = InstallSnapshot(
            term: server.term, index: server.logTerms.baseIndex, indexTerm: server.logTerms.baseTerm)
        send(.installSnapshot(offer), from: number, to: target)
    }

    /// Gives a server the snapshot that it wants: whole and durable at once, since what is between is not for the
    /// consensus to know.
    private func install(through index: LogIndex, term: Term, at number: Int) {
        let prefix = Array(checker.committed.prefix(Int(index.rawValue)))
        guard let log = logs[number], prefix.count == Int(index.rawValue), prefix.last?.term == term else {
            Issue.record("server \(number) is offered a snapshot through \(index) of what is not committed")
            return
        }
        if log.base < index { logs[number]?.snapshot = prefix }
        step(
            number, .snapshotInstalled(index: index, term: term, configuration: log.configuration(of: prefix)))
    }

    /// Has a server take a snapshot of a part of what it knows to be committed.
    func compact(_ number: Int, through index: LogIndex? = nil) {
        guard let server = servers[number], index ?? server.commitIndex <= server.commitIndex else { return }
        logs[number]?.compact(through: index ?? server.commitIndex)
        step(number, .compacted(through: index ?? server.commitIndex))
    }

    private func send(_ message: ConsensusMessage, from: Int, to: Int) {
        var envelope = Envelope(from: from, to: to, message: message)
        if case .appendEntries(let append) = message, let log = logs[from] {
            envelope.entries = log.slice(after: append.previousIndex, count: append.count)
        }
        checker.note(envelope)
        sent.append(envelope)
        network.append(envelope)
    }

    private func check(_ number: Int) {
        guard let server = servers[number], let log = logs[number] else { return }
        server.checkInvariants()
        #expect(log.entries.count == Int(server.lastIndex.rawValue))
        checker.check(number, server, logs: logs)
    }

    // MARK: Disks

    /// Makes the oldest writes of a server durable: all of them, or so many.
    func sync(_ number: Int, writes: Int = .max) {
        var left = writes
        while left > 0, logs[number]?.pending.isEmpty == false {
            left -= 1
            guard let event = logs[number]?.completeWrite(), servers[number] != nil else { continue }
            var actions = Actions()
            servers[number]?.step(event, now: now, actions: &actions)
            carryOut(actions, at: number, entries: [])
        }
    }
}
