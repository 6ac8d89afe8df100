import FlotillaSimulation
import FlotillaStorage
import FlotillaWire
import Testing

@Suite("A write-ahead log on a simulated disk")
struct DiskLogTests {
    @Test(arguments: [WALSyncMethod.auto, .datasync, .oSync, .sync])
    func `keeps through crashes at any moment what it told to be durable, and makes nothing up`(
        method: WALSyncMethod
    ) throws {
        var recoveries = 0
        var cutOff = 0
        for seed in 1...300 as ClosedRange<UInt64> {
            var history = DiskLogHistory(seed: seed, method: method)
            for _ in 0..<5 where try !live(&history) { cutOff += 1 }
            _ = try history.start()
            recoveries += history.recoveries
        }
        #expect(recoveries > 1_000 && cutOff > 100)
    }

    /// One life; `false` when it was cut off before it had recovered.
    private func live(_ history: inout DiskLogHistory) throws -> Bool {
        let life = history.begin()
        if history.random.chance(perMille: 250) {
            for _ in 0..<history.random.number(0...120) where life.found == nil { _ = life.step() }
        } else {
            while life.found == nil { try #require(life.step()) }
        }
        if life.found != nil {
            try history.recover(life)
            history.work(life, steps: history.random.number(0...100))
            #expect(life.failure == nil)
        }
        history.cutOff(life)
        return life.log != nil
    }

    @Test(arguments: [WALSyncMethod.auto, .datasync], [false, true])
    func `survives a power failure before any operation of its first start, and before any of its second`(
        method: WALSyncMethod, isSecond: Bool
    ) throws {
        try crashAtEachOperation(method, isSecond: isSecond) {
            $0.losePower()
        } then: { history in
            _ = try history.start()
        }
    }

    @Test(arguments: [WALSyncMethod.auto, .datasync], [false, true])
    func `a start that is killed leaves nothing that the next one must not build on`(
        method: WALSyncMethod, isSecond: Bool
    ) throws {
        try crashAtEachOperation(method, isSecond: isSecond) {
            $0.endProcesses()
        } then: { history in
            let life = try history.start()
            history.work(life, steps: 40)
            history.note(life)
            history.world.disk.losePower(unsynced: .lost)
            _ = try history.start()
        }
    }

    /// Cuts a life off before each of the operations of its start and of its first files in turn.
    private func crashAtEachOperation(
        _ method: WALSyncMethod, isSecond: Bool, _ crash: @escaping (SimulatedDisk) -> Void,
        then body: (inout DiskLogHistory) throws -> Void
    ) throws {
        for crashes in 1...80 {
            var history = DiskLogHistory(seed: UInt64(crashes), method: method)
            if isSecond {
                let first = try history.start()
                history.work(first, steps: 100)
                history.note(first)
                history.world.disk.losePower()
            }
            let disk = history.world.disk
            let last = disk.operations + crashes
            disk.crashPoint = { [unowned disk] number, _ in if number == last { crash(disk) } }
            _ = history.begin()
            while disk.operations < last, history.world.scheduler.step() {}
            disk.crashPoint = nil
            if disk.operations < last { crash(disk) }
            try body(&history)
        }
    }

    @Test(arguments: [WALSyncMethod.auto, .datasync])
    func `refuses damage in what was durable, or has lost nothing by it`(method: WALSyncMethod) throws {
        var refused = 0
        var harmless = 0
        for seed in 1...300 as ClosedRange<UInt64> {
            var history = DiskLogHistory(seed: seed, method: method)
            for _ in 0..<3 {
                let life = try history.start()
                history.work(life, steps: history.random.number(20...120))
                history.cutOff(life)
            }
            var random = Randomness(seed: seed)
            let kind = random.pick(DiskDamage.allCases)
            guard let damage = history.world.disk.damageAtRest(kind, using: &random) else { continue }
            do {
                _ = try history.start()
                harmless += 1
            } catch let error as StorageError {
                #expect(error.code == .corrupt, "seed \(seed), \(damage): \(error)")
                refused += 1
            }
        }
        #expect(refused > 150 && harmless > 5)
    }

    @Test(arguments: [WALSyncMethod.auto, .datasync, .oSync])
    func `what a failed sync left in the cache alone is not taken for durable`(method: WALSyncMethod) throws {
        // A direct write that fails leaves nothing in the cache that the disk does not hold.
        for seed in 1...20 as ClosedRange<UInt64> {
            var history = DiskLogHistory(seed: seed, method: method)
            let life = try history.start()
            history.work(life, steps: 60)
            history.settle(life)
            history.world.disk.failNextSync(marksClean: true)
            history.work(life, steps: 60)
            #expect(life.failure != nil)
            life.end()
            _ = try history.start()
            history.world.disk.losePower(unsynced: .lost)
            _ = try history.start()
        }
    }

    @Test func `the same seed gives the same lives`() throws {
        func trace(_ seed: UInt64) throws -> [String] {
            var history = DiskLogHistory(seed: seed, method: .auto)
            var trace: [String] = []
            let world = history.world
            world.disk.crashPoint = { trace.append("\($0) \($1.name) \(world.scheduler.now)") }
            defer { world.disk.crashPoint = nil }
            for _ in 0..<3 {
                let life = try history.start()
                history.work(life, steps: 150)
                history.cutOff(life)
            }
            return trace
        }
        #expect(try trace(5) == trace(5))
        #expect(try trace(5) != trace(6))
    }
}
