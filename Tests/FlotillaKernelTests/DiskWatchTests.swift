import FlotillaConsensus
import FlotillaStorage
import Testing

@testable import FlotillaKernel

/// How the kernel measures what the disk gets done.
@Suite("The watch over the disk")
struct DiskWatchTests {
    private var watch = DiskWatch(now: at(0))
    private var status = WALStatus()
    private let limit = Duration.seconds(1)

    private static func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 1_000_000_000 + UInt64(milliseconds) * 1_000_000)
    }

    private mutating func complete(_ records: Int, at milliseconds: Int) {
        status.settled += UInt64(records)
        status.batches += 1
        watch.completed(status, at: Self.at(milliseconds), limit: limit)
    }

    private mutating func write(from start: Int, to end: Int) {
        watch.handOver(1, at: Self.at(start))
        complete(1, at: end)
    }

    private mutating func judge(_ milliseconds: Int) -> Bool? { watch.judge(at: Self.at(milliseconds), limit: limit) }

    @Test mutating func `counts from the moment when something waits, not while nothing does`() {
        #expect(watch.waited(until: Self.at(60_000)) == .zero)
        watch.handOver(2, at: Self.at(60_000))
        #expect(watch.waited(until: Self.at(60_400)) == .milliseconds(400))
        complete(2, at: 60_500)
        #expect(watch.waited(until: Self.at(90_000)) == .zero)
    }

    @Test mutating func `takes a backlog that moves for no stall`() {
        watch.handOver(50, at: Self.at(0))
        for number in 1...49 {
            complete(1, at: number * 900)
            #expect(judge(number * 900 + 899) == nil)
        }
        #expect(judge(49 * 900 + 1_001) == true)
    }

    @Test mutating func `finds a stall when the limit has passed, and that it is over with the next write`() {
        watch.handOver(1, at: Self.at(100))
        #expect(judge(1_100) == nil)
        #expect(judge(1_101) == true)
        #expect(judge(3_000) == nil)
        complete(1, at: 3_100)
        #expect(judge(3_101) == false)
        #expect(watch.longestWait == .milliseconds(3_000))
    }

    @Test mutating func `does not count the time in which the process stood still`() {
        watch.handOver(1, at: Self.at(0))
        watch.restart(at: Self.at(5_000))
        #expect(watch.waited(until: Self.at(5_100)) == .milliseconds(100))
    }

    @Test mutating func `finds that more than one in a hundred writes is slow, and forgets it in time`() {
        for number in 0..<100 { write(from: number, to: number) }
        write(from: 200, to: 1_300)
        #expect(judge(1_300) == nil, "one slow write alone says nothing")
        write(from: 1_400, to: 2_500)
        #expect(watch.recent.writes == 102)
        #expect(watch.recent.slow == 2)
        #expect(judge(2_500) == true)
        #expect(judge(5_000) == nil)
        #expect(judge(9_900) == nil)
        #expect(judge(10_000) == false)
    }

    @Test mutating func `takes two slow writes among very many for none`() {
        write(from: 0, to: 1_100)
        write(from: 1_200, to: 2_300)
        for number in 2_300..<2_498 { write(from: number, to: number) }
        #expect(judge(2_500) == nil)
    }

    @Test mutating func `forgets both windows after a long silence`() {
        write(from: 0, to: 1_100)
        write(from: 1_200, to: 2_300)
        #expect(judge(2_300) == true)
        #expect(judge(60_000) == false)
        #expect(watch.recent.writes == 0)
    }

    @Test mutating func `takes a change of status that settles nothing for a sign of life, but for no write`() {
        watch.handOver(1, at: Self.at(0))
        watch.completed(status, at: Self.at(900), limit: limit)
        #expect(watch.waited(until: Self.at(1_500)) == .milliseconds(600))
        #expect(watch.recent.writes == 0)
    }

    @Test mutating func `takes a disk that says that it is full for no stall, until it says nothing more`() {
        watch.handOver(1, at: Self.at(0))
        status.diskFull = true
        for second in 0...60 { watch.completed(status, at: Self.at(second * 1_000), limit: limit) }
        #expect(watch.waited(until: Self.at(60_999)) == .zero)
        #expect(judge(61_900) == nil)
        #expect(judge(62_001) == true, "a second more than it takes to try again")
        status.diskFull = false
        watch.completed(status, at: Self.at(62_100), limit: limit)
        #expect(watch.waited(until: Self.at(62_200)) == .milliseconds(100))
    }
}
