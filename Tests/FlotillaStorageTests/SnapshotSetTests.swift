import FlotillaStorage
import FlotillaWire
import Testing

@Suite struct SnapshotSetTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    private func file(_ kind: SnapshotKind, _ index: UInt64, term: UInt64 = 1) -> SnapshotFile {
        SnapshotFile(
            directory: SnapshotDisk.directory, kind: kind, index: LogIndex(index), term: Term(term), bytes: 100,
            liveCount: 0)
    }

    @Test func `the newest checkpoint at or below an index is found`() {
        var set = SnapshotSet(directory: SnapshotDisk.directory)
        #expect(set.newestSnapshot == nil && set.newestCheckpoint(atOrBelow: 100) == nil)
        for index in [30, 10, 20] as [UInt64] { set.insert(file(.checkpoint, index)) }
        #expect(set.newestCheckpoint(atOrBelow: 9) == nil)
        #expect(set.newestCheckpoint(atOrBelow: 10)?.index == 10)
        #expect(set.newestCheckpoint(atOrBelow: 29)?.index == 20)
        #expect(set.newestCheckpoint(atOrBelow: 1_000)?.index == 30)
        #expect(set.newestSnapshot == nil && set.obsolete().isEmpty)
    }

    @Test func `what a snapshot supersedes is obsolete, unless it is in use`() {
        var set = SnapshotSet(directory: SnapshotDisk.directory)
        for index in [10, 20, 30] as [UInt64] {
            set.insert(file(.snapshot, index))
            set.insert(file(.checkpoint, index))
        }
        set.insert(file(.checkpoint, 31))
        let expected = [
            file(.snapshot, 10), file(.snapshot, 20), file(.checkpoint, 10), file(.checkpoint, 20),
            file(.checkpoint, 30),
        ]
        #expect(set.obsolete() == expected)
        #expect(set.obsolete(keeping: [file(.snapshot, 10), file(.checkpoint, 30)]).map(\.index) == [20, 10, 20])
        set.remove(expected)
        #expect(set.snapshots == [file(.snapshot, 30)] && set.checkpoints == [file(.checkpoint, 31)])
        #expect(set.obsolete().isEmpty)
    }

    @Test func `a damaged file is obsolete once a snapshot supersedes it`() async throws {
        let disk = try await SnapshotDisk()
        for index in [20, 40] as [UInt64] {
            let file = try await disk.write(at: index)
            disk.disk.change(file.path) { $0.removeLast() }
        }
        var set = try await disk.load().set
        #expect(set.damaged.map(\.index) == [20, 40] && set.obsolete().isEmpty)
        set.insert(try await disk.write(at: 30))
        #expect(set.obsolete().map(\.index) == [20])
        set.insert(try await disk.write(at: 40))
        #expect(set.damaged.map(\.index) == [20])
        let obsolete = set.obsolete()
        #expect(obsolete.map(\.index) == [30, 20])
        try await SnapshotSet.durablyRemove(obsolete, files: disk.files)
        set.remove(obsolete)
        let (loaded, damages) = try await disk.load()
        #expect(loaded == set && damages.isEmpty)
    }

    @Test func `old checkpoints are thinned out the more the older they are`() throws {
        var set = SnapshotSet(directory: SnapshotDisk.directory)
        for index in 1...5_000 as ClosedRange<UInt64> {
            set.insert(file(.checkpoint, index * 10))
            set.remove(set.obsolete())
        }
        let kept = set.checkpoints.map(\.index.rawValue)
        #expect(kept.count == SnapshotSet.maxCheckpoints && kept.last == 50_000)
        // They reach far back, and each is at most four times as far behind as the next one.
        let ages = kept.map { 50_000 - $0 }
        #expect((ages.first ?? 0) > 10_000)
        for (older, newer) in zip(ages, ages.dropFirst()).dropLast(2) {
            #expect(newer * 4 >= older, "\(ages)")
        }
    }

    @Test func `checkpoints in use stay although there are too many`() {
        var set = SnapshotSet(directory: SnapshotDisk.directory)
        for index in 1...15 as ClosedRange<UInt64> { set.insert(file(.checkpoint, index)) }
        let inUse = Array(set.checkpoints.dropLast())
        #expect(set.obsolete(keeping: inUse).isEmpty)
        #expect(set.obsolete().count == 5)
        #expect(set.obsolete(keeping: [inUse[0]]).allSatisfy { $0 != inUse[0] })
    }

    @Test func `the highest indexes and equal ones are thinned out without harm`() {
        var set = SnapshotSet(directory: SnapshotDisk.directory)
        for term in 1...8 as ClosedRange<UInt64> {
            set.insert(file(.checkpoint, Limits.position, term: term))
            set.insert(file(.checkpoint, 1, term: term))
        }
        #expect(set.obsolete().count == 6)
        #expect(set.newestCheckpoint(atOrBelow: LogIndex(Limits.position))?.term == 8)
    }

    /// What a set must do, said with plain lists.
    private struct Model {
        var files: Set<SnapshotFile> = []

        func sorted(_ kind: SnapshotKind) -> [SnapshotFile] {
            files.filter { $0.kind == kind }.sorted { ($0.index, $0.term) < ($1.index, $1.term) }
        }

        func expectSame(_ set: SnapshotSet, cursor: LogIndex) {
            #expect(set.snapshots == sorted(.snapshot))
            #expect(set.checkpoints == sorted(.checkpoint))
            #expect(set.newestSnapshot?.index == files.filter { $0.kind == .snapshot }.map(\.index).max())
            let below = files.filter { $0.kind == .checkpoint && $0.index <= cursor }
            #expect(set.newestCheckpoint(atOrBelow: cursor)?.index == below.map(\.index).max())
        }

        /// What must go whatever the rule of thinning out is.
        var superseded: Set<SnapshotFile> {
            let newest = files.filter { $0.kind == .snapshot }.map(\.index).max() ?? .zero
            return files.filter { $0.kind == .snapshot ? $0.index < newest : $0.index <= newest }
        }

        func expectObsolete(_ obsolete: [SnapshotFile], keeping inUse: [SnapshotFile]) {
            let gone = Set(obsolete)
            #expect(gone.count == obsolete.count && gone.isDisjoint(with: inUse) && gone.isSubset(of: files))
            #expect(superseded.subtracting(inUse).isSubset(of: gone))
            let open = files.subtracting(superseded).filter { $0.kind == .checkpoint }
            let surplus = gone.subtracting(superseded)
            #expect(surplus.isSubset(of: open))
            if let newest = sorted(.checkpoint).last { #expect(!surplus.contains(newest)) }
            #expect(surplus.count <= max(0, open.count - SnapshotSet.maxCheckpoints))
            if inUse.isEmpty { #expect(surplus.count == max(0, open.count - SnapshotSet.maxCheckpoints)) }
        }
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `a set on a disk behaves like plain lists`(seed: UInt64) async throws {
        var random = Random(state: seed &* 7_919)
        let disk = try await SnapshotDisk()
        var set = SnapshotSet(directory: SnapshotDisk.directory)
        var model = Model()
        var index: UInt64 = 1
        for _ in 0..<150 {
            switch UInt8.random(in: 0..<12, using: &random) {
            case 0:
                set = try await disk.load().set
            case 1:
                let cursor = LogIndex(UInt64.random(in: 1...index, using: &random))
                guard let checkpoint = set.newestCheckpoint(atOrBelow: cursor) else { continue }
                let promoted = try await checkpoint.durablyPromote(disk.files)
                set.remove([checkpoint])
                set.insert(promoted)
                model.files.remove(checkpoint)
                model.files.insert(promoted)
            case 2, 3:
                let inUse = model.sorted(.checkpoint).filter { _ in UInt8.random(in: 0..<8, using: &random) == 0 }
                let obsolete = set.obsolete(keeping: inUse)
                model.expectObsolete(obsolete, keeping: inUse)
                try await SnapshotSet.durablyRemove(obsolete, files: disk.files)
                set.remove(obsolete)
                model.files.subtract(obsolete)
            case let draw:
                index += UInt64.random(in: 0...20, using: &random)
                let live = Sample.live([UInt64.random(in: 1...index, using: &random)])
                let file = try await disk.write(draw == 4 ? .snapshot : .checkpoint, at: index, live: live)
                set.insert(file)
                model.files.insert(file)
            }
            model.expectSame(set, cursor: LogIndex(UInt64.random(in: 0...index + 1, using: &random)))
        }
        disk.disk.losePower()
        let (loaded, damages) = try await disk.load()
        #expect(loaded == set && damages.isEmpty)
    }
}
