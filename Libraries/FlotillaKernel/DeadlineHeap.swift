import FlotillaConsensus
import HeapModule

/// The deadlines of all servers of the node in one heap.
///
/// A server's deadline moves with almost every step, mostly further away. Only a move closer is entered; an entry
/// that comes up too early is entered again for the deadline that holds by then.
struct DeadlineHeap {
    private struct Entry: Comparable {
        var instant: Instant
        var slot: Int

        static func < (left: Entry, right: Entry) -> Bool {
            left.instant != right.instant ? left.instant < right.instant : left.slot < right.slot
        }
    }

    private var heap = Heap<Entry>()

    /// The earliest entry.
    var earliest: Instant? { heap.min?.instant }

    /// Enters a deadline of the server in `slot`.
    mutating func insert(_ instant: Instant, slot: Int) { heap.insert(Entry(instant: instant, slot: slot)) }

    /// Takes the slot of the earliest entry that is due.
    mutating func popDue(_ now: Instant) -> (slot: Int, instant: Instant)? {
        guard let entry = heap.min, entry.instant <= now else { return nil }
        heap.removeMin()
        return (entry.slot, entry.instant)
    }
}
