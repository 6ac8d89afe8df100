import HeapModule

/// What is going to happen, in the order of its time, and the one clock that all of it goes by.
///
/// Time is virtual: it jumps to the next thing that happens. Two things at the same time happen in the order in which
/// they were scheduled, so a run depends on nothing but what is in it.
package final class Scheduler {
    private struct Planned: Comparable {
        var time: UInt64
        var sequence: UInt64
        var body: () -> Void

        static func < (left: Planned, right: Planned) -> Bool {
            left.time != right.time ? left.time < right.time : left.sequence < right.sequence
        }
        static func == (left: Planned, right: Planned) -> Bool { left.sequence == right.sequence }
    }

    private var planned = Heap<Planned>()
    private var sequence: UInt64 = 0
    /// Nanoseconds since the world began.
    package private(set) var now: UInt64 = 0
    /// How many things have happened.
    package private(set) var happened: UInt64 = 0

    /// A world at its beginning.
    package init() {}

    /// Plans something for a time, or for now when that has passed.
    package func at(_ time: UInt64, _ body: @escaping () -> Void) {
        sequence += 1
        planned.insert(Planned(time: max(time, now), sequence: sequence, body: body))
    }

    /// Plans something for so many nanoseconds from now.
    package func after(_ delay: UInt64, _ body: @escaping () -> Void) { at(now + delay, body) }

    /// Forgets everything that is planned, at the end of a world: whatever is planned holds on to what it is about.
    package func forgetAll() { planned = Heap() }

    /// Lets time pass in which nothing happens, to `limit` at most.
    package func skip(to limit: UInt64) { now = max(now, min(limit, planned.min?.time ?? limit)) }

    /// Lets the next thing happen unless it lies behind `limit`.
    ///
    /// - Returns: whether there was one.
    package func step(until limit: UInt64 = .max) -> Bool {
        guard let next = planned.min, next.time <= limit else { return false }
        planned.removeMin()
        now = next.time
        happened += 1
        next.body()
        return true
    }
}
