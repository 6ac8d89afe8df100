import FlotillaConsensus
import FlotillaWire
import Testing

/// Clusters under whatever can happen, in an order that a seed decides: messages lost, doubled and overtaken, links
/// cut, servers crashed with what was not durable, disks that lag. The fleet checks the promises of Raft after every
/// step; at the end everything is healed, and the cluster has to come to an agreement.
@Suite struct RandomizedTests {
    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func `nothing is ever lost or decided twice, and a healed cluster agrees`(seed: UInt64) {
        var chaos = Chaos(seed: seed)
        for _ in 0..<3_000 { chaos.act() }
        chaos.heal()
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func `nor when members come and go all the time`(seed: UInt64) {
        var chaos = Chaos(seed: seed, spare: 2)
        for _ in 0..<3_000 { chaos.act() }
        chaos.heal()
    }

    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func `nor when logs are cut behind snapshots`(seed: UInt64) {
        var chaos = Chaos(seed: seed, spare: seed % 2 == 0 ? 2 : 0, takesSnapshots: true)
        for _ in 0..<3_000 { chaos.act() }
        chaos.heal()
    }

    /// As below: faults in which hardly a change is committed would prove nothing of changes.
    @Test func `many changes of the members are committed under faults`() {
        var changes = 0
        for seed in 1...10 as ClosedRange<UInt64> {
            var chaos = Chaos(seed: seed, spare: 2)
            for _ in 0..<3_000 { chaos.act() }
            changes += chaos.fleet.checker.committed.filter { $0.configuration != nil }.count
        }
        #expect(changes > 15)
    }

    /// Faults that leave nothing to go wrong would prove nothing. Some seeds are unlucky, so this looks at many, and
    /// before anything is healed, which would commit whatever had been left.
    @Test func `most of the time there is a leader, and much is committed under faults`() {
        var steps = 0
        var stepsWithLeader = 0
        var committed = 0
        for seed in 1...10 as ClosedRange<UInt64> {
            var chaos = Chaos(seed: seed)
            for _ in 0..<3_000 {
                chaos.act()
                steps += 1
                if !chaos.fleet.leaders.isEmpty { stepsWithLeader += 1 }
            }
            committed += chaos.fleet.checker.committed.count
        }
        #expect(stepsWithLeader > steps / 2)
        #expect(committed > 500)
    }
}

private struct Chaos {
    let fleet: Fleet
    var random: SplitMix64
    var token: UInt64 = 0
    let changesMembers: Bool
    let takesSnapshots: Bool

    init(seed: UInt64, spare: Int = 0, takesSnapshots: Bool = false) {
        changesMembers = spare > 0
        self.takesSnapshots = takesSnapshots
        random = SplitMix64(seed: seed)
        let count = [3, 3, 4, 5][Int.random(in: 0..<4, using: &random)]
        // Short messages and a small window, so that both limits are met all the time.
        let settings = RaftSettings(appendBytes: 300, followerWindowBytes: 900, followerWindowEntries: 12)
        fleet = Fleet(count, spare: spare, settings: settings, seed: seed)
        fleet.heldDisks = Set(fleet.members)
        fleet.step(1, .triggerElection)
    }

    private mutating func pick(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func anyServer() -> Int { fleet.members[pick(0..<fleet.members.count)] }

    mutating func act() {
        switch pick(0..<1_000) {
        case 0..<520: deliverAny(keep: false)
        case 520..<550: deliverAny(keep: true)
        case 550..<560: if !fleet.network.isEmpty { fleet.network.remove(at: pick(0..<fleet.network.count)) }
        case 560..<810: fleet.sync(anyServer(), writes: pick(1..<4))
        case 810..<830: if let next = fleet.nextDeadline { fleet.fire(next.number) }
        case 830..<910: propose()
        case 910..<950: read()
        case 950..<966: crashOrRestart()
        case 966..<976: cutOrHeal()
        case 976..<979: transfer()
        case 979..<985: compareNotes()
        case 985..<994 where changesMembers: changeMembers()
        case 994..<997 where takesSnapshots: takeSnapshot()
        default: for number in fleet.members { fleet.flush(number) }
        }
    }

    /// Delivers a message from anywhere in the queue, so messages overtake each other.
    private mutating func deliverAny(keep: Bool) {
        guard !fleet.network.isEmpty else { return }
        let position = pick(0..<min(fleet.network.count, 12))
        let envelope = keep ? fleet.network[position] : fleet.network.remove(at: position)
        fleet.deliver(envelope)
    }

    private mutating func propose() {
        for leader in fleet.leaders { fleet.propose(pick(1..<6), at: leader) }
    }

    private mutating func read() {
        token += 1
        fleet.checker.noteRead(token)
        fleet.step(anyServer(), .read(token: token))
    }

    /// Servers come back sooner than they go, or most of the time no majority would be up.
    private mutating func crashOrRestart() {
        if let down = fleet.members.first(where: { fleet.servers[$0] == nil }), pick(0..<4) > 0 {
            return fleet.restart(down)
        }
        guard pick(0..<3) == 0 else { return }
        let number = anyServer()
        guard let server = fleet.servers[number] else { return }
        if pick(0..<2) == 0 { fleet.logs[number]?.commitFloor = min(server.commitIndex, server.durableIndex) }
        fleet.crash(number)
    }

    private mutating func cutOrHeal() {
        if !fleet.cuts.isEmpty { return fleet.heal() }
        if pick(0..<3) == 0 { fleet.cut(anyServer(), from: [anyServer(), anyServer()]) }
    }

    private mutating func transfer() {
        guard let leader = fleet.leaders.first else { return }
        let target = Fleet.uid(anyServer())
        fleet.step(leader, .transferLeadership(to: target, giveUpAt: fleet.now + .milliseconds(100)))
    }

    private mutating func changeMembers() {
        guard let leader = fleet.leaders.last else { return }
        let number = anyServer()
        let isMember = fleet[leader].configuration.member(Fleet.uid(number)) != nil
        let remove = MembershipChange.remove(Fleet.uid(number))
        let roles: [MemberRole] = [.voter, .promotable(target: 0), .nonVoter]
        let choices = roles.map { MembershipChange.add(Fleet.member(number, $0)) } + (isMember ? [remove, remove] : [])
        fleet.change(choices[pick(0..<choices.count)], at: leader)
    }

    /// Some server forgets the beginning of its log, or lets it go from memory, or a transfer comes to nothing.
    private mutating func takeSnapshot() {
        let number = anyServer()
        guard let server = fleet.servers[number] else { return }
        switch pick(0..<4) {
        case 0: fleet.logs[number]?.memoryStart = server.lastIndex
        case 1: for other in fleet.members { fleet.step(number, .snapshotEnded(Fleet.uid(other))) }
        default:
            let index = LogIndex(server.commitIndex.rawValue - UInt64(pick(0..<4)) % (server.commitIndex.rawValue + 1))
            fleet.compact(number, through: index)
        }
    }

    private mutating func compareNotes() {
        let (one, other) = (anyServer(), anyServer())
        guard one != other, fleet.isConnected(one, other) else { return }
        fleet.step(one, .peerState(Fleet.uid(other), term: fleet[other].term, leader: fleet[other].leader))
    }

    /// Ends all faults. A link is told as broken and up again, as it would be after messages were lost on it.
    mutating func heal() {
        for number in fleet.members where fleet.servers[number] == nil { fleet.restart(number) }
        fleet.heldDisks = []
        for number in fleet.members { fleet.sync(number) }
        for number in fleet.members { fleet.isolate(number) }
        fleet.lose()
        fleet.heal()
        for _ in 0..<100 where !isQuiet {
            fleet.settle()
            fleet.advance(by: .milliseconds(100))
            // Who was removed behind what is committed is told so only once that reaches further.
            if changesMembers, fleet.leaders.count == 1 { fleet.propose(at: fleet.leaders[0]) }
        }
        fleet.settle()
        #expect(fleet.leaders.count == 1, "leaders: \(fleet.leaders)")
        guard let leader = fleet.leaders.first else { return }
        fleet.propose(at: leader)
        fleet.settle()
        for number in fleet[leader].configuration.members.map({ Int($0.uid.low) }) {
            #expect(fleet.logs[number]?.entries == fleet.logs[leader]?.entries)
            #expect(fleet[number].commitIndex == fleet[leader].lastIndex)
        }
        fleet.checker.checkLogMatching(fleet.logs, members: fleet.members)
    }

    /// Whether there is one leader and nobody waits for anything.
    private var isQuiet: Bool {
        fleet.leaders.count == 1 && fleet.network.isEmpty && fleet.nextDeadline == nil
    }
}
