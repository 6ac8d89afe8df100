import FlotillaSimulation
import FlotillaStorage
import Testing

@Suite("The contents on a simulated disk")
struct DiskContentsTests {
    @Test func `an operation completes later, and says how long it took`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let token = process.submit(.list(path: "/"))
        #expect(process.completion(token) == nil)
        #expect(try process.wait(for: token) == .names([]))
        #expect(process.completion(token)?.nanoseconds == world.scheduler.now)
        #expect(world.scheduler.now >= DiskSettings().metadataNanoseconds.lowerBound)
    }

    @Test func `what was synced survives every power failure, and of the rest each sector is old or new`() throws {
        var outcomes: Set<String> = []
        for seed in 1...60 as ClosedRange<UInt64> {
            var settings = DiskSettings()
            settings.tearsSectors = false
            let world = DiskWorld(seed: seed, settings: settings)
            let process = DiskProcess(world)
            let file = try process.makeDurable("/f", bytes(1, 4_096))
            try process.write(file, bytes(2, 2_048))
            #expect(world.disk.contents("/f") == bytes(2, 2_048) + bytes(1, 2_048))
            #expect(world.disk.durableContents("/f") == bytes(1, 4_096))
            world.disk.losePower()
            let left = try #require(world.disk.contents("/f"))
            #expect(left.dropFirst(2_048) == bytes(1, 2_048)[...])
            #expect(world.disk.durableContents("/f") == left)
            let sectors = stride(from: 0, to: 2_048, by: 512).map { Array(left[$0..<$0 + 512]) }
            for sector in sectors { #expect(sector == bytes(1, 512) || sector == bytes(2, 512)) }
            outcomes.insert(sectors.map { "\($0[0])" }.joined())
        }
        #expect(outcomes.isSuperset(of: ["1111", "2222"]) && outcomes.count > 4)
    }

    @Test func `a torn sector begins new and ends old`() throws {
        var torn = 0
        for seed in 1...60 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            let file = try process.makeDurable("/f", bytes(1, 512))
            try process.write(file, bytes(2, 512))
            world.disk.losePower()
            let left = try #require(world.disk.contents("/f"))
            let new = left.prefix { $0 == 2 }.count
            #expect(left == bytes(2, new) + bytes(1, 512 - new))
            if new > 0, new < 512 { torn += 1 }
            #expect(world.disk.counts.tornSectors == (new > 0 && new < 512 ? 1 : 0))
        }
        #expect(torn > 10)
    }

    @Test func `a sync promises only what was written when it was asked for`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.makeDurable("/f", bytes(1, 8_192))
        try process.write(file, bytes(2, 512))
        let sync = process.submit(.syncData(file))
        let write = process.submit(.write(file, at: 4_096, count: 512, from: DiskProcess.memory(bytes(3, 512))))
        _ = try process.wait(for: write)
        #expect(process.completion(sync) == nil)
        _ = try process.wait(for: sync)
        #expect(world.disk.durableContents("/f") == bytes(2, 512) + bytes(1, 7_680))
        try process.perform(.syncData(file))
        #expect(world.disk.durableContents("/f") == world.disk.contents("/f"))
    }

    @Test func `a write through a file opened for durable writes is durable when it completes`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.open("/f", [.write, .create, .direct, .dataSync])
        try process.write(file, at: 4_096, bytes(7, 4_096))
        #expect(world.disk.durableContents("/f") == bytes(0, 4_096) + bytes(7, 4_096))
        let direct = try process.open("/f", [.write, .direct])
        try process.write(direct, bytes(8, 4_096))
        #expect(world.disk.contents("/f") == bytes(8, 4_096) + bytes(7, 4_096))
        #expect(world.disk.durableContents("/f") == bytes(0, 4_096) + bytes(7, 4_096))
    }

    @Test func `bytes that share a sector with the end of a file are not forgotten`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let file = try process.open("/f", [.write, .create])
        let durable = try process.open("/f", [.write, .dataSync])
        try process.write(file, bytes(1, 200))
        try process.write(durable, bytes(2, 100))
        try process.write(file, at: 200, bytes(3, 100))
        try process.perform(.syncData(file))
        #expect(world.disk.durableContents("/f") == bytes(2, 100) + bytes(1, 100) + bytes(3, 100))
    }

    @Test func `the growth of a file is lost or kept by chance until a sync`() throws {
        var sizes: Set<Int> = []
        for seed in 1...40 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            let file = try process.makeDurable("/f", bytes(1, 1_024))
            try process.perform(.zeroFill(file, count: 4_096))
            world.disk.losePower()
            sizes.insert(try #require(world.disk.contents("/f")).count)
        }
        #expect(sizes.isSuperset(of: [1_024, 4_096]))
        #expect(sizes.allSatisfy { 1_024...4_096 ~= $0 })
    }

    @Test func `a read past the end gives fewer bytes`() throws {
        let process = DiskProcess(DiskWorld())
        let file = try process.makeDurable("/f", bytes(5, 700))
        #expect(try process.read(file, at: 512, count: 512) == bytes(5, 188))
        #expect(try process.read(file, at: 4_096, count: 512) == [])
        #expect(try process.perform(.size(path: "/f")) == .size(700))
    }
}
