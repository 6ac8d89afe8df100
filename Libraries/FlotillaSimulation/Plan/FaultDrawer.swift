import FlotillaWire

/// Draws the faults of a seed: first which kinds there are at all and how often something goes wrong, then what
/// happens when.
struct FaultDrawer {
    private typealias Maker = (inout FaultDrawer) -> Fault

    private var random: Randomness
    private let options: WorldOptions

    init(seed: UInt64, options: WorldOptions) {
        random = .of("faults", seed: seed)
        self.options = options
    }

    /// The faults in the order of their times.
    mutating func draw() -> [PlannedFault] {
        let makers = drawKinds()
        guard !makers.isEmpty else { return [] }
        let pause = random.pick([150_000_000, 500_000_000, 1_500_000_000] as [UInt64])
        var faults: [PlannedFault] = []
        var time = random.time(0...1_000_000_000)
        while time < options.activeNanoseconds, faults.count < 200 {
            let maker = random.pick(makers)
            faults.append(PlannedFault(number: faults.count, time: time, fault: maker(&self)))
            // Changes of members sometimes come faster than they can be committed.
            let isChange = ["member added", "member removed"].contains(faults[faults.count - 1].fault.kind)
            let isFast = isChange && random.chance(perMille: 500)
            time += random.time(0...(isFast ? 2_000_000 : 2 * pause))
        }
        return faults
    }

    /// About half of all kinds, each seed another half; what is in the list twice happens twice as often.
    private mutating func drawKinds() -> [Maker] {
        let all: [Maker] = [
            { .kill($0.target(), downFor: $0.short()) },
            { .powerLoss($0.target(), downFor: $0.short()) },
            { .powerLossOfAll(downFor: $0.short()) },
            { .restart($0.target(), downFor: $0.short()) },
            { .pause($0.target(), for: $0.short()) },
            { .partition($0.split(), for: $0.short()) },
            { .partition($0.mesh(), for: $0.short()) },
            { .oneWay($0.target(), hearsNobody: $0.coin(), for: $0.short()) },
            { .reset($0.node(), $0.node()) },
            { .slowLink(from: $0.node(), to: $0.node(), by: $0.random.time(1_000_000...400_000_000), for: $0.short()) },
            { .wallJump($0.node(), by: Int64($0.random.number(-3_600...3_600)) * 1_000_000_000) },
            { .clockRate($0.node(), UInt64($0.random.number(500...2_000)), for: 2 * $0.short()) },
            { .slowDisk($0.target(), factor: UInt64($0.random.number(5...200)), for: $0.short()) },
            { .stalledDisk($0.target(), for: $0.short()) },
            { .fullDisk($0.node(), for: 2 * $0.short()) },
            { .failedSync($0.target(), marksClean: $0.coin()) },
            { .failedWrite($0.target()) },
            { .failedRead($0.node()) },
            { .rot($0.node(), $0.random.pick(Fault.Rot.allCases)) },
            { .wipe($0.node()) },
            { .transfer(cluster: $0.cluster(), to: $0.node()) },
            { .election(cluster: $0.cluster(), at: $0.node()) },
            { .addMember(cluster: $0.cluster(), on: $0.node(), $0.role()) },
            { .removeMember(cluster: $0.cluster(), on: $0.node()) },
            { .cutOff($0.target(), for: $0.short()) },
            { .ambush($0.target(), .term, losesPower: $0.coin(), downFor: $0.short()) },
            { .ambush($0.target(), $0.random.pick(Fault.Moment.allCases), losesPower: $0.coin(), downFor: $0.short()) },
        ]
        if random.chance(perMille: 30) { return [] }
        let share = random.pick([250, 500, 800])
        return all.filter { _ in random.chance(perMille: share) }
    }

    private mutating func node() -> Int { random.number(0...(options.nodes - 1)) }
    private mutating func cluster() -> Int { random.number(0...(options.clusters.count - 1)) }
    private mutating func coin() -> Bool { random.chance(perMille: 500) }

    private mutating func target() -> Fault.Target { coin() ? .leader(cluster()) : .node(node()) }

    /// From a moment to some seconds.
    private mutating func short() -> UInt64 {
        random.time(0...random.pick([20_000_000, 400_000_000, 1_500_000_000, 5_000_000_000]))
    }

    private mutating func role() -> MemberRole {
        random.pick([.voter, .nonVoter, .promotable(target: .zero), .promotable(target: .zero)])
    }

    /// Two sides that don't reach each other, sometimes with a bridge between them.
    private mutating func split() -> [[Int]] {
        let side = (0..<options.nodes).map { _ in coin() }
        let bridge = random.chance(perMille: 300) ? node() : -1
        var blocked: [[Int]] = []
        for from in 0..<options.nodes {
            for to in 0..<options.nodes where side[from] != side[to] && from != bridge && to != bridge {
                blocked.append([from, to])
            }
        }
        return blocked
    }

    /// Some directions at random.
    private mutating func mesh() -> [[Int]] {
        let share = random.pick([150, 400])
        var blocked: [[Int]] = []
        for from in 0..<options.nodes {
            for to in 0..<options.nodes where from != to && random.chance(perMille: share) {
                blocked.append([from, to])
            }
        }
        return blocked
    }
}
