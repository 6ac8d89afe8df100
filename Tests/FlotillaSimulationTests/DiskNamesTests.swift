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

@Suite("The names on a simulated disk")
struct DiskNamesTests {
    @Test func `a sync of a file does not make its name durable, a sync of its directory does`() throws {
        var kept = 0
        for seed in 1...40 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            let file = try process.open("/f", [.write, .createNew])
            try process.write(file, bytes(1, 10))
            try process.perform(.syncAll(file))
            #expect(!world.disk.isDurable("/f"))
            _ = try process.makeDurable("/g", bytes(2, 10))
            #expect(world.disk.isDurable("/f") && world.disk.isDurable("/g"))
            _ = try process.open("/h", [.write, .createNew])
            world.disk.losePower()
            #expect(world.disk.contents("/f") == bytes(1, 10))
            #expect(world.disk.contents("/g") == bytes(2, 10))
            if world.disk.exists("/h") { kept += 1 }
        }
        #expect(kept > 5 && kept < 35)
    }

    @Test func `a sync of a directory promises only the names of the time when it was asked for`() throws {
        let world = DiskWorld()
        let process = DiskProcess(world)
        let sync = process.submit(.syncDirectory(path: "/"))
        _ = try process.open("/f", [.write, .create])
        #expect(process.completion(sync) == nil)
        _ = try process.wait(for: sync)
        #expect(world.disk.exists("/f") && !world.disk.isDurable("/f"))
    }

    @Test func `what was made in a directory that is lost is lost with it`() throws {
        var lost = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            try process.perform(.makeDirectory(path: "/d"))
            _ = try process.open("/d/f", [.write, .create])
            try process.perform(.syncDirectory(path: "/d"))
            world.disk.losePower()
            #expect(world.disk.exists("/d") == world.disk.exists("/d/f"))
            if !world.disk.exists("/d") { lost += 1 }
        }
        #expect(lost > 0)
    }

    @Test func `a rename that replaces a file leaves the old one or the new one, whole`() throws {
        var outcomes: Set<[UInt8]> = []
        for seed in 1...60 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            _ = try process.makeDurable("/f", bytes(1, 600))
            let file = try process.open("/f.tmp", [.write, .createNew])
            try process.write(file, bytes(2, 900))
            try process.perform(.syncAll(file))
            try process.perform(.rename(from: "/f.tmp", to: "/f"))
            #expect(world.disk.names(in: "/") == ["f"])
            world.disk.losePower()
            outcomes.insert(try #require(world.disk.contents("/f")))
        }
        #expect(outcomes == [bytes(1, 600), bytes(2, 900)])
    }

    @Test func `a removed file can still be read by who has it open, and comes back if its removal is lost`() throws {
        var outcomes: Set<Bool> = []
        for seed in 1...20 as ClosedRange<UInt64> {
            let world = DiskWorld(seed: seed)
            let process = DiskProcess(world)
            let file = try process.makeDurable("/f", bytes(1, 600))
            try process.perform(.remove(path: "/f"))
            #expect(!world.disk.exists("/f"))
            #expect(try process.read(file, count: 600) == bytes(1, 600))
            world.disk.losePower()
            if world.disk.exists("/f") { #expect(world.disk.contents("/f") == bytes(1, 600)) }
            outcomes.insert(world.disk.exists("/f"))
        }
        #expect(outcomes == [true, false])
    }

    @Test func `names are listed in order`() throws {
        let process = DiskProcess(DiskWorld())
        for name in ["b", "a", "c"] { _ = try process.open("/\(name)", [.write, .create]) }
        try process.perform(.makeDirectory(path: "/a.d"))
        _ = try process.open("/a.d/x", [.write, .create])
        #expect(try process.perform(.list(path: "/")) == .names(["a", "a.d", "b", "c"]))
        #expect(try process.perform(.list(path: "/a.d")) == .names(["x"]))
    }

    @Test func `errors are those of a real system`() throws {
        var settings = DiskSettings()
        settings.takesDirect = false
        let old = DiskProcess(DiskWorld(settings: settings))
        #expect(try old.failure(.open(path: "/f", [.write, .create, .direct])) == EINVAL)

        let world = DiskWorld()
        let process = DiskProcess(world)
        let other = DiskProcess(world)
        #expect(try process.failure(.open(path: "/f", [])) == ENOENT)
        #expect(try process.failure(.open(path: "/d/f", [.create])) == ENOENT)
        #expect(try process.failure(.list(path: "/d")) == ENOENT)
        #expect(try process.failure(.size(path: "/f")) == ENOENT)
        #expect(try process.failure(.remove(path: "/f")) == ENOENT)
        #expect(try process.failure(.rename(from: "/f", to: "/g")) == ENOENT)
        #expect(try process.failure(.syncDirectory(path: "/d")) == ENOENT)
        let file = try process.open("/f", [.write, .create, .direct])
        #expect(try process.failure(.open(path: "/f", [.createNew])) == EEXIST)
        #expect(try process.failure(.makeDirectory(path: "/")) == EEXIST)
        let memory = AlignedMemory(capacity: 4_096)
        #expect(try process.failure(.write(file, at: 0, count: 512, from: memory)) == EINVAL)
        #expect(try process.failure(.read(file, at: 512, count: 4_096, into: memory)) == EINVAL)
        #expect(try other.failure(.syncAll(file)) == EBADF)
        #expect(try process.failure(.lock(file)) == nil)
        let rival = try other.open("/f")
        #expect(try other.failure(.write(rival, at: 0, count: 512, from: memory)) == EBADF)
        #expect(try other.failure(.lock(rival)) == EWOULDBLOCK)
        #expect(try process.failure(.close(file)) == nil)
        #expect(try process.failure(.close(file)) == EBADF)
        #expect(try other.failure(.lock(rival)) == nil)
    }
}
