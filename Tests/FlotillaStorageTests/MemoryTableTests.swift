import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@Suite struct MemoryTableTests {
    /// The same operations on a plain array of entries.
    private struct Model {
        var base: UInt64 = 0
        var entries: [[UInt8]] = []
        var last: UInt64 { base + UInt64(entries.count) }

        func bytes(_ from: UInt64, _ through: UInt64) -> [UInt8] {
            entries[Int(from - base) - 1...Int(through - base) - 1].flatMap { $0 }
        }
    }

    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func aTableBehavesLikeAnArray(seed: UInt64) {
        var random = Random(state: seed &* 7_919)
        let table = MemoryTable()
        var model = Model()
        for _ in 0..<400 {
            switch UInt8.random(in: 0..<20, using: &random) {
            case 0 where table.lastIndex.rawValue > table.firstIndex.rawValue:
                let from = UInt64.random(in: table.firstIndex.rawValue...model.last, using: &random)
                table.truncate(from: LogIndex(from))
                model.entries.removeLast(Int(model.last - from) + 1)
            case 1:
                let through = UInt64.random(in: model.base...model.last, using: &random)
                table.release(through: LogIndex(through))
                model.entries.removeFirst(Int(table.firstIndex.rawValue - 1 - model.base))
                model.base = table.firstIndex.rawValue - 1
                #expect(model.base <= through)
            case 2...9 where !table.isEmpty:
                compare(table, model, &random)
            default:
                append(table, &model, &random)
            }
            for _ in 0..<6 where !table.isEmpty {
                let index = UInt64.random(in: table.firstIndex.rawValue...model.last, using: &random)
                #expect(
                    table.entry(at: LogIndex(index)).map { Array($0.readableBytesView) } == model.bytes(index, index))
            }
            #expect(table.entry(at: table.lastIndex.next) == nil)
            #expect(table.lastIndex.rawValue == model.last)
            #expect(table.byteCount == model.entries.reduce(0) { $0 + $1.count })
        }
    }

    private func append(_ table: MemoryTable, _ model: inout Model, _ random: inout Random) {
        let count = Int.random(in: 1...12, using: &random)
        let longest = [10, 10, 300, 4_000].randomElement(using: &random) ?? 10
        var batch = ByteBuffer()
        for step in 1...count {
            let body = ByteBuffer(repeating: UInt8(step), count: Int.random(in: 0...longest, using: &random))
            let entry = Sample.entry(model.last + 1, term: 1, body: body)
            model.entries.append(Array(entry.readableBytesView))
            batch.writeImmutableBuffer(entry)
        }
        table.append(batch, first: LogIndex(model.last - UInt64(count) + 1), count: count)
    }

    private func compare(_ table: MemoryTable, _ model: Model, _ random: inout Random) {
        let from = UInt64.random(in: model.base + 1...model.last, using: &random)
        let through = UInt64.random(in: from...model.last, using: &random)
        let slices = table.slices(from: LogIndex(from), through: LogIndex(through))
        #expect(slices.flatMap { Array($0.readableBytesView) } == model.bytes(from, through))
        var next = from
        for region in table.regions(from: LogIndex(from), through: LogIndex(through)) {
            #expect(region.first.rawValue == next)
            next += UInt64(region.count)
        }
        #expect(next == through + 1)
        #expect(table.entry(at: LogIndex(from)).map { Array($0.readableBytesView) } == model.bytes(from, from))
        let limit = Int.random(in: 0...20_000, using: &random)
        let extent = table.extent(from: LogIndex(from), through: LogIndex(through), bytes: limit)
        var reached = from
        while reached < through, model.bytes(from, reached + 1).count <= limit { reached += 1 }
        #expect(extent.through.rawValue == reached)
        #expect(extent.bytes == model.bytes(from, reached).count)
    }

    @Test func slicesOfWholeBatchesShareTheirStorage() {
        let table = MemoryTable()
        let batch = Sample.entryBytes(1...50, term: 1, body: 400)
        table.append(batch, first: 1, count: 50)
        let slices = table.slices(from: 1, through: 50)
        #expect(slices.count == 1)
        let same = batch.withUnsafeReadableBytes { batch in
            slices[0].withUnsafeReadableBytes { $0.baseAddress == batch.baseAddress }
        }
        #expect(same)
    }

    @Test func entriesThatCameOneByOneAreGathered() {
        let table = MemoryTable()
        for index in 1...5_000 as ClosedRange<UInt64> {
            table.append(Sample.entryBytes(index...index, term: 1, body: 260), first: LogIndex(index), count: 1)
        }
        let regions = table.regions(from: 1, through: 5_000)
        // 218 entries of 300 bytes fill a chunk; at most one chunk's worth is not gathered yet.
        #expect(regions.count <= 5_000 / 218 + 218)
        let gathered = regions.filter { $0.count > 1 }
        let used = gathered.reduce(0) { $0 + $1.bytes.readableBytes }
        let held = gathered.reduce(0) { $0 + $1.bytes.storageCapacity }
        #expect(Double(held) < Double(used) * 1.05)
    }

    @Test func aSliceOfALargeBufferDoesNotKeepItAlive() {
        let table = MemoryTable()
        var network = ByteBuffer(repeating: 0, count: 1 << 20)
        network.clear()
        network.writeImmutableBuffer(Sample.entryBytes(1...40, term: 1, body: 260))
        table.append(network, first: 1, count: 40)
        #expect(table.slices(from: 1, through: 40)[0].storageCapacity <= 16 << 10)
    }

    @Test func singleEntriesAreFoundInWhatReplacesABatchOfTheSameLength() {
        /// Entries whose bodies grow or shrink: as many and as long in all, but begun elsewhere.
        func batch(_ lengths: [Int]) -> (bytes: ByteBuffer, entries: [ByteBuffer]) {
            var bytes = ByteBuffer()
            let entries = lengths.enumerated().map { number, length in
                Sample.entry(UInt64(number + 1), term: 1, body: ByteBuffer(repeating: 7, count: length))
            }
            for entry in entries { bytes.writeImmutableBuffer(entry) }
            return (bytes, entries)
        }
        let lengths = (0..<200).map { $0 }
        for drop in [{ $0.truncate(from: 1) }, { $0.reset(after: 0) }] as [(MemoryTable) -> Void] {
            let table = MemoryTable()
            for lengths in [lengths, lengths.reversed()] {
                let (bytes, entries) = batch(lengths)
                table.append(bytes, first: 1, count: 200)
                for (number, entry) in entries.enumerated() {
                    #expect(table.entry(at: LogIndex(UInt64(number + 1))) == entry)
                }
                drop(table)
                #expect(table.entry(at: 1) == nil)
            }
        }
    }
}
