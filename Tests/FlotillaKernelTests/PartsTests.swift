import FlotillaConsensus
import FlotillaWire
import Testing

@testable import FlotillaKernel

@Suite struct PendingRepliesTests {
    private let link = LinkID(slot: 1, generation: 1)
    private let other = LinkID(slot: 2, generation: 1)

    @Test func `waiters are taken in order, and gaps have none`() {
        var pending = PendingReplies()
        pending.append(5, link: link, correlation: 50, bytes: 1)
        pending.append(8, link: other, correlation: 80, bytes: 1)
        #expect(pending.mayWait(from: 1, through: 5) && !pending.mayWait(from: 9, through: 20))
        #expect(pending.take(4) == nil)
        #expect(pending.take(5)?.correlation == 50)
        #expect(pending.take(6) == nil)
        #expect(pending.take(8, if: link) == nil)
        #expect(pending.take(8, if: other)?.correlation == 80)
        #expect(pending.isEmpty)
    }

    @Test func `a truncation takes everybody from its index on`() {
        var pending = PendingReplies()
        for index in 10..<1_500 as Range<UInt64> {
            pending.append(LogIndex(index), link: link, correlation: index, bytes: 1)
        }
        #expect(pending.takeAll(from: 1_400).map(\.correlation) == Array(1_400..<1_500))
        #expect(pending.takeAll(from: 1_400).isEmpty)
        pending.append(1_400, link: other, correlation: 1, bytes: 1)
        #expect(pending.take(1_399)?.correlation == 1_399)
        #expect(pending.take(1_400)?.link == other)
    }

    @Test func `the ring turns round many times`() {
        var pending = PendingReplies()
        var next: UInt64 = 1
        var taken: UInt64 = 1
        for round in 0..<200 as Range<UInt64> {
            for _ in 0..<(round % 37 + 1) {
                pending.append(LogIndex(next), link: link, correlation: next, bytes: 1)
                next += 1
            }
            while taken + 20 < next {
                #expect(pending.take(LogIndex(taken))?.correlation == taken)
                taken += 1
            }
        }
        #expect(pending.count == Int(next - taken))
    }
}

@Suite struct FailureDetectorTests {
    private func detector(_ now: Instant) -> FailureDetector {
        FailureDetector(floor: .milliseconds(500), ceiling: .seconds(3), interval: .milliseconds(100), now: now)
    }

    @Test func `a steady peer is suspected soon after it falls silent, an unsteady one later`() {
        var now = Instant(nanoseconds: 0)
        var steady = detector(now)
        var unsteady = detector(now)
        for round in 0..<100 {
            now = now + .milliseconds(100)
            steady.heard(at: now, isRegular: true)
            if round % 6 == 0 { unsteady.heard(at: now, isRegular: true) }
        }
        #expect(!steady.suspects(at: now + .milliseconds(500)))
        #expect(steady.suspects(at: now + .milliseconds(501)))
        #expect(unsteady.limit > steady.limit)
        #expect(unsteady.limit <= 3_000_000_000)
    }

    @Test func `silence while this process was stopped is forgiven`() {
        let start = Instant(nanoseconds: 0)
        var detector = detector(start)
        let later = start + .seconds(60)
        #expect(detector.suspects(at: later))
        detector.forgive(at: later)
        #expect(!detector.suspects(at: later + .milliseconds(100)))
    }
}

@Suite struct DeadlineHeapTests {
    @Test func `what is due comes out earliest first`() {
        var heap = DeadlineHeap()
        for (slot, time) in [(1, 30), (2, 10), (3, 20)] as [(Int, UInt64)] {
            heap.insert(Instant(nanoseconds: time), slot: slot)
        }
        #expect(heap.earliest == Instant(nanoseconds: 10))
        var order: [Int] = []
        while let due = heap.popDue(Instant(nanoseconds: 25)) { order.append(due.slot) }
        #expect(order == [2, 3])
        #expect(heap.earliest == Instant(nanoseconds: 30))
    }
}
