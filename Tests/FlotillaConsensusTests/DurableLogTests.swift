import FlotillaWire
import Testing

@testable import FlotillaConsensus

/// What is durable by a list of every entry ever appended: an entry is durable when a notice has named its own write.
private struct DumbDurability {
    var epoch = 0
    /// For each entry of the log, in which epoch it was appended and whether it is on disk.
    var entries: [(epoch: Int, isDurable: Bool)] = []
    /// Notices that were not delivered: an epoch, and the end of what was appended in it.
    var notices: [(epoch: Int, through: Int)] = []

    var durableIndex: Int { entries.prefix { $0.isDurable }.count }

    mutating func confirm(epoch: Int, through: Int) {
        // Writes of one server are never reordered, so what is older than a durable write is durable, too.
        for position in entries.indices.prefix(through) where entries[position].epoch <= epoch {
            entries[position].isDurable = true
        }
    }
}

@Suite struct DurableLogTests {
    @Test func `a notice of the same epoch confirms through its index`() {
        var log = DurableLog(index: 3)
        let confirmed1 = log.confirm(epoch: .zero, through: 5)
        #expect(confirmed1)
        #expect(log.index == 5)
        let confirmed2 = log.confirm(epoch: .zero, through: 4)
        #expect(!confirmed2)
        #expect(log.index == 5)
    }

    @Test func `a truncation takes durability back`() {
        var log = DurableLog(index: 5)
        log.truncate(from: 4)
        #expect(log.index == 3)
        #expect(log.epoch == LogEpoch(1))
    }

    @Test func `a notice of an older epoch confirms what no truncation since has touched`() {
        var log = DurableLog(index: 0)
        log.truncate(from: 8)
        log.truncate(from: 4)
        log.truncate(from: 6)
        let confirmed3 = log.confirm(epoch: LogEpoch(2), through: 9)
        #expect(confirmed3)
        #expect(log.index == 5, "index 6 was truncated in epoch 3")
        let confirmed4 = log.confirm(epoch: .zero, through: 9)
        #expect(!confirmed4, "index 4 was truncated since")
        #expect(log.index == 5)
    }

    @Test func `notices that come late, twice or not at all never confirm what is gone`() {
        for seed in 1...200 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            var log = DurableLog(index: 0)
            var dumb = DumbDurability()
            for _ in 0..<80 {
                act(&log, &dumb, using: &random)
                #expect(Int(log.index.rawValue) == dumb.durableIndex)
            }
        }
    }

    private func act(_ log: inout DurableLog, _ dumb: inout DumbDurability, using random: inout SplitMix64) {
        switch Int.random(in: 0..<4, using: &random) {
        case 0 where !dumb.entries.isEmpty:
            let from = Int.random(in: 1...dumb.entries.count, using: &random)
            log.truncate(from: LogIndex(UInt64(from)))
            dumb.entries.removeSubrange(from - 1..<dumb.entries.count)
            dumb.epoch += 1
        case 1:
            let count = Int.random(in: 1...3, using: &random)
            dumb.entries += Array(repeating: (dumb.epoch, false), count: count)
            dumb.notices.append((dumb.epoch, dumb.entries.count))
        default:
            guard let notice = dumb.notices.randomElement(using: &random) else { return }
            _ = log.confirm(
                epoch: LogEpoch(UInt32(notice.epoch)), through: LogIndex(UInt64(notice.through)))
            dumb.confirm(epoch: notice.epoch, through: notice.through)
        }
    }

    @Test func `a notice from before all truncations that are remembered confirms nothing`() {
        var log = DurableLog(index: 0)
        for index in 1...100 as ClosedRange<UInt64> { log.truncate(from: LogIndex(index)) }
        let confirmed5 = log.confirm(epoch: .zero, through: 200)
        #expect(!confirmed5)
        let confirmed6 = log.confirm(epoch: LogEpoch(99), through: 200)
        #expect(confirmed6)
        #expect(log.index == 99)
    }
}
