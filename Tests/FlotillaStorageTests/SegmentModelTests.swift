import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// A server's segments against a plain log: flushes, truncations, snapshots, compactions, installs, restarts.
@Suite struct SegmentModelTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    private struct Model {
        /// The term of each entry from index 1 on, flushed or not.
        var terms: [UInt64] = []
        var flushed: UInt64 = 0
        var committed: UInt64 = 0
        var snapshot: UInt64 = 0
        var live: Set<UInt64> = []
        /// The lowest truncation that no segment says yet, as the write-ahead log keeps it.
        var cut: UInt64?
        var term: UInt64 = 1
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func segmentsBehaveLikeALog(seed: UInt64) async throws {
        var random = Random(state: seed &* 7_919)
        var disk = try await SegmentDisk.make()
        var set = try await disk.load().set
        var model = Model()
        for _ in 0..<150 {
            switch UInt8.random(in: 0..<20, using: &random) {
            case 0..<6: try await flush(disk, &set, &model, &random)
            case 6..<8: truncate(&set, &model, &random)
            case 8..<10: snapshot(&model, &random)
            case 10..<12: try await dispose(disk, &set, model, &random)
            case 12..<15: try await compact(disk, &set, model, &random)
            case 15 where seed % 2 == 0: try await install(disk, &set, &model, &random)
            case 16..<18:
                disk = disk.afterPowerFailure()
                set = try await disk.load().set
                if let cut = model.cut { set.truncate(from: LogIndex(cut)) }
            default:
                model.term += UInt64.random(in: 0...1, using: &random)
                let count = Int.random(in: 1...30, using: &random)
                model.terms += Array(repeating: model.term, count: count)
            }
            try await compare(disk, set, model)
        }
    }

    private func bytes(_ range: ClosedRange<UInt64>, _ model: Model) -> ByteBuffer {
        var bytes = ByteBuffer()
        for index in range {
            bytes.writeImmutableBuffer(Sample.entryBytes(index...index, term: model.terms[Int(index) - 1]))
        }
        return bytes
    }

    private func flush(
        _ disk: SegmentDisk, _ set: inout SegmentSet, _ model: inout Model, _ random: inout Random
    ) async throws {
        guard model.flushed < model.terms.count else { return }
        let last = UInt64.random(in: model.flushed + 1...UInt64(model.terms.count), using: &random)
        let table = MemoryTable(after: LogIndex(model.flushed))
        let range = model.flushed + 1...last
        table.append(bytes(range, model), first: LogIndex(range.lowerBound), count: range.count)
        let limits = SegmentLimits(maxEntries: Int.random(in: 5...40, using: &random))
        let written = try await SegmentWriter(disk.segments, limits: limits).write(
            table.regions(from: LogIndex(range.lowerBound), through: LogIndex(last)), from: set.nextNumber,
            salt: random.next())
        for segment in written { #expect(set.add(segment).isEmpty) }
        model.flushed = last
        model.cut = nil
        model.committed = max(model.committed, UInt64.random(in: 0...last, using: &random))
    }

    private func truncate(_ set: inout SegmentSet, _ model: inout Model, _ random: inout Random) {
        guard model.committed < model.terms.count else { return }
        let from = UInt64.random(in: model.committed + 1...UInt64(model.terms.count), using: &random)
        model.terms.removeLast(model.terms.count - Int(from) + 1)
        model.term += 1
        set.truncate(from: LogIndex(from))
        model.cut = min(model.cut ?? from, from)
        model.flushed = min(model.flushed, from - 1)
    }

    private func snapshot(_ model: inout Model, _ random: inout Random) {
        let end = min(model.committed, model.flushed)
        guard end > model.snapshot else { return }
        let before = model.snapshot
        model.snapshot = UInt64.random(in: before + 1...end, using: &random)
        let kept = UInt64.random(in: 0...9, using: &random)
        for index in before + 1...model.snapshot where UInt64.random(in: 0...9, using: &random) < kept {
            model.live.insert(index)
        }
        let dropped = UInt64.random(in: 0...5, using: &random)
        for index in model.live.sorted() where UInt64.random(in: 0...9, using: &random) < dropped {
            model.live.remove(index)
        }
    }

    private func liveIndexes(_ model: Model) -> LiveIndexes { LiveIndexes(model.live.map { LogIndex($0) }) }

    private func dispose(
        _ disk: SegmentDisk, _ set: inout SegmentSet, _ model: Model, _ random: inout Random
    ) async throws {
        let numbers = set.disposable(through: LogIndex(model.snapshot), live: liveIndexes(model))
        // A crash leaves any of the files.
        let gone = numbers.filter { _ in Bool.random(using: &random) }
        let partly = SegmentDisk(on: disk.disk)
        try await partly.segments.remove(gone)
        var left = try await partly.load().set
        if let cut = model.cut { left.truncate(from: LogIndex(cut)) }
        try await compare(partly, left, model)
        set.remove(numbers: numbers)
        try await disk.segments.remove(numbers)
        await disk.reader.forget(SegmentDisk.uid, numbers: numbers)
    }

    private func compact(
        _ disk: SegmentDisk, _ set: inout SegmentSet, _ model: Model, _ random: inout Random
    ) async throws {
        let limits = SegmentLimits(maxEntries: Int.random(in: 10...80, using: &random))
        let live = liveIndexes(model)
        for group in set.compactionGroups(through: LogIndex(model.snapshot), live: live, limits: limits) {
            let new = try #require(
                try await SegmentCompactor(disk.segments, limits: limits).rewrite(
                    group, live: live, into: set.nextNumber, salt: random.next()))
            let replaced = set.add(new)
            #expect(!replaced.isEmpty)
            if Bool.random(using: &random) { try await disk.segments.remove(replaced) }
        }
    }

    /// The follower gets a snapshot and its live entries, and keeps its log only if that goes beyond.
    private func install(
        _ disk: SegmentDisk, _ set: inout SegmentSet, _ model: inout Model, _ random: inout Random
    ) async throws {
        let keepsLog = Bool.random(using: &random) && model.terms.count > model.snapshot
        if !keepsLog {
            // Another log altogether, longer than this one, whose end is the snapshot.
            model.term += 1
            let begin = Int(model.snapshot)
            model.terms.removeLast(model.terms.count - begin)
            model.terms += Array(repeating: model.term, count: Int.random(in: 1...40, using: &random))
            model.live = []
        }
        let index =
            keepsLog
            ? UInt64.random(in: model.snapshot + 1...UInt64(model.terms.count), using: &random)
            : UInt64(model.terms.count)
        model.live = Set((1...index).filter { _ in UInt8.random(in: 0..<4, using: &random) == 0 })
        var sequence = SegmentWriter(disk.segments, limits: SegmentLimits(maxEntries: 15)).begin(
            installing: LogIndex(index), term: Term(model.terms[Int(index) - 1]), from: set.nextNumber,
            salt: random.next())
        for live in model.live.sorted() { try await sequence.append(bytes(live...live, model)) }
        for segment in try await sequence.finish() { _ = set.add(segment) }
        model.snapshot = index
        model.committed = max(model.committed, index)
        if !keepsLog {
            set.truncate(from: LogIndex(index + 1))
            model.cut = index + 1
        }
        if !keepsLog || model.flushed < index { model.flushed = index }
    }

    private func compare(_ disk: SegmentDisk, _ set: SegmentSet, _ model: Model) async throws {
        for index in model.live.sorted() {
            #expect(await disk.entry(LogIndex(index), set) == .entry(bytes(index...index, model)))
        }
        let last = set.lastIndex(behind: LogIndex(model.snapshot)).rawValue
        #expect(last == max(model.flushed, model.snapshot))
        guard last > model.snapshot else { return }
        let log = try await disk.log(set, behind: LogIndex(model.snapshot), maxBytes: 700)
        #expect(log == bytes(model.snapshot + 1...last, model).array)
        var runs: [Segment.TermRun] = []
        for index in model.snapshot + 1...last where runs.last?.term.rawValue != model.terms[Int(index) - 1] {
            runs.append(Segment.TermRun(first: LogIndex(index), term: Term(model.terms[Int(index) - 1])))
        }
        #expect(set.terms(behind: LogIndex(model.snapshot)) == runs)
        #expect(set.gaps(behind: LogIndex(model.snapshot)).isEmpty)
    }
}
