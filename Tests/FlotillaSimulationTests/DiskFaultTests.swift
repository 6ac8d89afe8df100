import FlotillaSimulation
import FlotillaStorage
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("The faults of a simulated disk")
struct DiskFaultTests {
    @Test func `the end of a process leaves its writes in flight to chance, and what was written in the cache`() throws
    {
        var outcomes: Set<String> = []
        for seed in 1...60 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            let file = try process.makeDurable("/f", bytes(1, 2_048))
            try process.perform(.lock(file))
            try process.write(file, bytes(2, 512))
            let token = process.submit(.write(file, at: 512, count: 1_536, from: DiskProcess.memory(bytes(3, 1_536))))
            process.mount.end()
            #expect(process.completion(token) == nil)
            #expect(throws: FileSystemError.self) { try process.wait(for: token) }
            #expect(try process.failure(.list(path: "/")) == EIO)
            let left = try #require(world.disk.contents("/f"))
            #expect(left.prefix(512) == bytes(2, 512)[...])
            outcomes.insert(stride(from: 512, to: 2_048, by: 512).map { "\(left[$0])" }.joined())
            let next = DiskProcess(world)
            #expect(try next.failure(.lock(try next.open("/f"))) == nil)
            #expect(world.disk.counts.cutOffOperations == 1)
        }
        #expect(outcomes.isSuperset(of: ["111", "333"]) && outcomes.count > 3)
    }

    @Test func `a failed sync that marks its sectors clean lets later ones lie`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.makeDurable("/f", bytes(1, 4_096))
        try process.write(file, bytes(2, 4_096))
        world.disk.failNextSync(marksClean: true)
        #expect(try process.failure(.syncData(file)) == EIO)
        #expect(try process.failure(.syncData(file)) == nil)
        #expect(try process.read(file, count: 4_096) == bytes(2, 4_096))
        // Past the cache the truth is seen.
        let direct = try process.open("/f", [.direct])
        #expect(try process.read(direct, count: 4_096) == bytes(1, 4_096))
        world.disk.losePower()
        #expect(world.disk.contents("/f") == bytes(1, 4_096))
        #expect(world.disk.counts.failedSyncs == 1 && world.disk.counts.powerLosses == 1)
    }

    @Test func `a failed sync that leaves its sectors dirty can be made good`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.makeDurable("/f", bytes(1, 4_096))
        try process.write(file, bytes(2, 4_096))
        world.disk.failNextSync(marksClean: false)
        #expect(try process.failure(.syncData(file)) == EIO)
        try process.perform(.syncData(file))
        world.disk.losePower()
        #expect(world.disk.contents("/f") == bytes(2, 4_096))
    }

    @Test func `a durable write can fail as a sync does`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.makeDurable("/f", bytes(1, 4_096), .dataSync)
        world.disk.failNextSync(marksClean: true)
        let memory = DiskProcess.memory(bytes(2, 4_096))
        #expect(try process.failure(.write(file, at: 0, count: 4_096, from: memory)) == EIO)
        try process.perform(.syncAll(file))
        #expect(world.disk.contents("/f") == bytes(2, 4_096))
        #expect(world.disk.durableContents("/f") == bytes(1, 4_096))
    }

    @Test func `one write and one read fail when they are told to`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.makeDurable("/f", bytes(1, 4_096))
        let memory = DiskProcess.memory(bytes(2, 4_096))
        world.disk.failNextWrite(ENOSPC)
        world.disk.failNextRead()
        #expect(try process.failure(.write(file, at: 0, count: 4_096, from: memory)) == ENOSPC)
        #expect(try process.failure(.read(file, at: 0, count: 4_096, into: memory)) == EIO)
        #expect(try process.failure(.write(file, at: 0, count: 4_096, from: memory)) == nil)
        #expect(try process.failure(.read(file, at: 0, count: 4_096, into: memory)) == nil)
        #expect(world.disk.counts.failedWrites == 1 && world.disk.counts.failedReads == 1)
    }

    @Test func `a full disk takes what needs no room`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.makeDurable("/f", bytes(1, 4_096))
        world.disk.isFull = true
        let memory = DiskProcess.memory(bytes(2, 4_096))
        #expect(try process.failure(.open(path: "/g", [.write, .create])) == ENOSPC)
        #expect(try process.failure(.makeDirectory(path: "/d")) == ENOSPC)
        #expect(try process.failure(.write(file, at: 4_096, count: 4_096, from: memory)) == ENOSPC)
        #expect(try process.failure(.zeroFill(file, count: 8_192)) == ENOSPC)
        #expect(try process.failure(.write(file, at: 0, count: 4_096, from: memory)) == nil)
        #expect(try process.failure(.rename(from: "/f", to: "/e")) == nil)
        #expect(world.disk.counts.refusedForSpace == 4)
        world.disk.isFull = false
        #expect(try process.failure(.write(file, at: 4_096, count: 4_096, from: memory)) == nil)
    }

    @Test func `a slow disk takes longer, and a disk that stands still completes nothing`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        world.disk.slowness = 1_000
        try process.perform(.list(path: "/"))
        #expect(world.scheduler.now >= 2_000_000)
        world.disk.slowness = 1
        let token = process.submit(.list(path: "/"))
        world.disk.stall(until: 1_000_000_000)
        _ = try process.wait(for: token)
        #expect(world.scheduler.now == 1_000_000_000)
        #expect(world.disk.counts.stalls == 1)
    }

    @Test func `a wiped disk is empty`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        _ = try process.makeDurable("/f", bytes(1, 10))
        world.disk.wipe()
        #expect(world.disk.names(in: "/") == [])
        #expect(try process.failure(.list(path: "/")) == EIO)
        #expect(try DiskProcess(world).perform(.list(path: "/")) == .names([]))
    }

    @Test func `damage at rest spares the last write, what is not durable and the header`() throws {
        var places: Set<Int> = []
        for seed in 1...200 as ClosedRange<UInt64> {
            for kind in DiskDamage.allCases {
                var settings = DiskSettings()
                settings.tearsSectors = false
                let world = DiskWorld(seed: seed, settings: settings)
                let process = DiskProcess(world)
                var random = Randomness(seed: seed)
                #expect(world.disk.damageAtRest(kind, using: &random) == nil)
                try process.perform(.makeDirectory(path: "/wal"))
                let file = try process.open("/wal/1.wal", [.write, .create])
                try process.perform(.zeroFill(file, count: 32_768))
                for block in 0..<5 { try process.write(file, at: UInt64(block) * 4_096, bytes(UInt8(block), 4_096)) }
                try process.perform(.syncAll(file))
                try process.write(file, at: 5 * 4_096, bytes(5, 4_096))
                let before = try #require(world.disk.contents("/wal/1.wal"))
                #expect(world.disk.damageAtRest(kind, using: &random) != nil)
                let after = try #require(world.disk.contents("/wal/1.wal"))
                let changed = before.indices.filter { before[$0] != after[$0] }
                #expect(!changed.isEmpty)
                #expect(changed.allSatisfy { 4_096..<4 * 4_096 ~= $0 })
                let durable = try #require(world.disk.durableContents("/wal/1.wal"))
                #expect(durable[..<(5 * 4_096)] == after[..<(5 * 4_096)])
                places.formUnion(changed.map { $0 / 4_096 })
            }
        }
        #expect(places == [1, 2, 3])
    }

    @Test func `a write that a power failure took back is no witness for the one before`() throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            try process.perform(.makeDirectory(path: "/wal"))
            try process.perform(.syncDirectory(path: "/"))
            let file = try process.open("/wal/1.wal", [.write, .create])
            try process.perform(.syncDirectory(path: "/wal"))
            try process.perform(.zeroFill(file, count: 32_768))
            try process.write(file, at: 4_096, bytes(1, 4_096))
            try process.perform(.syncAll(file))
            try process.write(file, at: 8_192, bytes(2, 4_096))
            world.disk.losePower()
            let left = try #require(world.disk.contents("/wal/1.wal"))
            var random = Randomness(seed: seed)
            let isWitness = Array(left[8_192..<12_288]) == bytes(2, 4_096)
            #expect((world.disk.damageAtRest(.flippedBit, using: &random) != nil) == isWitness)
        }
    }

    @Test func `the same seed gives the same disk`() throws {
        func trace(seed: UInt64) throws -> [String] {
            let world = DiskWorld(seed: seed)
            var trace: [String] = []
            world.disk.crashPoint = { number, operation in
                trace.append("\(number) \(operation.name) \(world.scheduler.now)")
            }
            let process = DiskProcess(world)
            for name in 0..<20 {
                let file = try process.open("/\(name)", [.write, .create])
                _ = process.submit(.write(file, at: 0, count: 3_000, from: DiskProcess.memory(bytes(1, 3_000))))
                _ = process.submit(.syncAll(file))
                if name % 7 == 0 { try process.perform(.syncDirectory(path: "/")) }
            }
            world.disk.losePower()
            for name in world.disk.names(in: "/") {
                trace.append("\(name) \(world.disk.contents("/\(name)") ?? [])")
            }
            return trace + ["\(world.disk.counts)"]
        }
        #expect(try trace(seed: 3) == trace(seed: 3))
        #expect(try trace(seed: 3) != trace(seed: 4))
    }
}
