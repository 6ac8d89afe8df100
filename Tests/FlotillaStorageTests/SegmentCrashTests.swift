import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// The disk stops after each operation in turn, and keeps only what was synced. The life after it is stopped after
/// each of its operations as well.
@Suite struct SegmentCrashTests {
    private let limits = SegmentLimits(maxBytes: 4_000, maxEntries: 10)
    private let live = LiveIndexes([2, 11, 25, 38].map { LogIndex($0) })

    /// Runs work on copies of a disk, each stopped one operation later, and checks what a later life finds.
    private func crash(
        _ start: SegmentDisk, _ work: (SegmentDisk) async throws -> Void,
        check: (SegmentDisk, SegmentSet, _ isDone: Bool) async throws -> Void
    ) async throws {
        var operations = 0
        while true {
            for losesPower in [true, false] {
                let disk = SegmentDisk(on: start.disk)
                disk.disk.die(after: operations)
                var isDone = false
                do {
                    try await work(disk)
                    isDone = true
                } catch is StorageError {}
                let after = losesPower ? disk.afterPowerFailure() : SegmentDisk(on: disk.disk)
                try await crashLoading(after) { try await check($0, $1, isDone) }
                if isDone && losesPower { return }
            }
            operations += 1
        }
    }

    private func crashLoading(
        _ start: SegmentDisk, check: (SegmentDisk, SegmentSet) async throws -> Void
    ) async throws {
        var operations = 0
        while true {
            let disk = SegmentDisk(on: start.disk)
            disk.disk.die(after: operations)
            let isDone = (try? await disk.load()) != nil
            let after = disk.afterPowerFailure()
            let loaded = try await after.load()
            #expect(loaded.damages.isEmpty)
            #expect(after.names.allSatisfy { $0.hasSuffix(".seg") })
            try await check(after, loaded.set)
            if isDone { return }
            operations += 1
        }
    }

    @Test func writing() async throws {
        let start = try await SegmentDisk.make()
        try await start.write(1...10, term: 1, number: 1)
        try await crash(start) { disk in
            try await disk.write(6...40, term: 2, number: 2, limits: limits)
        } check: { disk, set, isDone in
            let last = set.lastIndex(behind: .zero)
            if isDone { #expect(last == 40) }
            let log = try await disk.log(set)
            if last == 10 {
                #expect(log == Sample.entryBytes(1...10, term: 1).array)
            } else {
                // Names may come in any number, but nothing that was overwritten is behind them.
                let overwritten = Sample.entryBytes(6...last.rawValue, term: 2).array
                #expect(log == Sample.entryBytes(1...5, term: 1).array + overwritten)
            }
        }
    }

    @Test func installing() async throws {
        let start = try await SegmentDisk.make()
        try await start.write(1...10, term: 1, number: 1)
        try await crash(start) { disk in
            var sequence = SegmentWriter(disk.segments, limits: limits).begin(
                installing: 90, term: 4, from: 2, salt: 1)
            for index in stride(from: UInt64(1), through: 90, by: 3) {
                try await sequence.append(Sample.entryBytes(index...index, term: 3))
            }
            _ = try await sequence.finish()
        } check: { disk, set, isDone in
            var set = set
            if isDone {
                for index in 1...90 as ClosedRange<UInt64> {
                    let entry = Sample.entryBytes(index...index, term: 3)
                    #expect(await disk.entry(LogIndex(index), set) == (index % 3 == 1 ? .entry(entry) : .missing))
                }
            }
            // Without its snapshot all of it goes, and the log is what it was.
            try await disk.segments.remove(set.dropInstalled(exceptFor: 5, term: 1))
            #expect(set.segments.map(\.number) == [1])
            #expect(try await disk.log(set) == Sample.entryBytes(1...10, term: 1).array)
        }
    }

    @Test func compactionAndRemoval() async throws {
        let start = try await SegmentDisk.make()
        try await start.write(1...36, term: 1, number: 1, limits: limits)
        try await start.write(31...50, term: 2, number: 5)
        try await crash(start) { disk in
            var set = try await disk.load().set
            let groups = set.compactionGroups(through: 50, live: live, limits: limits)
            let compactor = SegmentCompactor(disk.segments, limits: limits)
            for group in groups {
                guard let new = try await compactor.rewrite(group, live: live, into: set.nextNumber, salt: 3) else {
                    continue
                }
                try await disk.segments.remove(set.add(new))
            }
        } check: { disk, set, isDone in
            for index in live.ascending {
                let raw = index.rawValue
                #expect(
                    await disk.entry(index, set)
                        == .entry(Sample.entryBytes(raw...raw, term: raw < 31 ? 1 : 2)))
            }
            // Of what is overwritten nothing is ever shown again.
            for index in 31...36 as ClosedRange<UInt64> {
                if case .entry(let entry) = await disk.entry(LogIndex(index), set) {
                    #expect(entry == Sample.entryBytes(index...index, term: 2))
                }
            }
            if isDone { #expect(disk.names.count == 1) }
        }
    }
}
