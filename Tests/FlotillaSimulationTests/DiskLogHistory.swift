import FlotillaSimulation
import FlotillaStorage
import FlotillaWire
import Testing

/// Many lives of one node's storage on one disk, checked against what was appended and what was told to be durable.
struct DiskLogHistory {
    let world: DiskWorld
    let method: WALSyncMethod
    var random: Randomness
    /// All that was appended, and how far it was told to be durable.
    private(set) var entries: [[UInt8]] = []
    private(set) var durable = 0
    private var term: UInt64 = 0
    private var durableTerm: UInt64 = 0
    private var lives: UInt64 = 0
    private var incarnation = Incarnation(0)
    private var nodeID: NodeID?
    /// How many lives came as far as having a log.
    private(set) var recoveries = 0

    init(seed: UInt64, method: WALSyncMethod) {
        world = DiskWorld(seed: seed)
        self.method = method
        random = Randomness.of("history", seed: seed)
    }

    /// Starts a life and lets it recover; checks what it finds.
    mutating func start() throws -> DiskLogLife {
        let life = begin()
        try recover(life)
        return life
    }

    /// Lets a life recover; checks what it finds.
    mutating func recover(_ life: DiskLogLife) throws {
        while life.found == nil { try #require(life.step()) }
        try check(life)
    }

    /// Starts a life.
    mutating func begin() -> DiskLogLife {
        lives += 1
        return DiskLogLife(world, method: method, salt: random.bits())
    }

    /// Lets a life write for so many steps of the world at most.
    mutating func work(_ life: DiskLogLife, steps: Int) {
        for _ in 0..<steps where life.failure == nil {
            switch random.number(0...9) {
            case 0...3: appendEntries(to: life)
            case 4:
                term += 1
                life.append([DiskLogLife.hardState(term)])
            case 5: life.log?.idle()
            default: break
            }
            // With nothing in flight the world stands still until the next entries.
            _ = life.step()
            note(life)
        }
    }

    /// Lets a life finish what it has begun.
    mutating func settle(_ life: DiskLogLife) {
        while life.step() {}
        note(life)
    }

    /// Takes over what has become durable.
    mutating func note(_ life: DiskLogLife) {
        durable = max(durable, life.durableIndex)
        durableTerm = max(durableTerm, life.durableTerm)
    }

    private mutating func appendEntries(to life: DiskLogLife) {
        let first = entries.count
        for _ in 0..<random.number(1...4) {
            entries.append(DiskLogLife.entry(entries.count + 1, term: lives, &random))
        }
        life.append([DiskLogLife.record(entries[first...], term: lives)])
    }

    /// Checks what a life has found: all that was durable, and nothing that was not appended. From now on that is
    /// what must stay.
    private mutating func check(_ life: DiskLogLife) throws {
        let found = try #require(try life.found?.get())
        recoveries += 1
        #expect(found.entries.count >= durable, "life \(lives)")
        #expect(found.entries[...] == entries.prefix(found.entries.count))
        #expect(durableTerm...term ~= found.term)
        #expect(found.incarnation > incarnation)
        if let nodeID { #expect(found.nodeID == nodeID) }
        nodeID = found.nodeID
        incarnation = found.incarnation
        entries.removeLast(entries.count - min(found.entries.count, entries.count))
        durable = found.entries.count
        term = found.term
        durableTerm = found.term
    }

    /// Cuts off a life by a power failure, or by the end of its process alone.
    mutating func cutOff(_ life: DiskLogLife) {
        note(life)
        if random.chance(perMille: 700) { world.disk.losePower() } else { life.end() }
    }
}
