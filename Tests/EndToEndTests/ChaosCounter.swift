import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Synchronization

/// One counter cluster that is added to while nodes are killed: its snapshots need nothing of the log.
final class ChaosCounter: Sendable {
    private struct Book {
        var acknowledged: Int64 = 0
        /// Additions that may be in the sum or not, the one under way included.
        var unknown: Int64 = 0
        /// The highest sum that was seen.
        var seen: Int64 = 0
    }

    let name: String
    private let counter: ClusterClient<Counter>
    private let annotation: ByteBuffer
    private let book = Mutex(Book())

    init(_ client: FlotillaClient, name: String, valueBytes: Int) throws {
        self.name = name
        annotation = ByteBuffer(repeating: 7, count: valueBytes)
        counter = client.cluster(try ClusterName(name), of: Counter.self)
    }

    /// Adds one.
    func write(_ tally: ChaosTally) async {
        let floor = book.withLock { book in
            book.unknown += 1
            return max(book.acknowledged, book.seen)
        }
        let command = Counter.Command(amount: 1, annotation: annotation)
        guard let sum = await tally.command(name, { try await self.counter.process(command).reply }) else { return }
        let most = book.withLock { book in
            book.unknown -= 1
            book.acknowledged += 1
            book.seen = max(book.seen, sum)
            return book.acknowledged + book.unknown
        }
        if sum <= floor || sum > most { tally.violation("\(name): the sum \(sum) after \(floor), at most \(most)") }
    }

    /// Reads the sum.
    func read(_ tally: ChaosTally) async {
        let floor = book.withLock { max($0.acknowledged, $0.seen) }
        guard let sum = await tally.query(name, { try await self.counter.query(Nothing(), consistency: .consistent) })
        else { return }
        let most = book.withLock { book in
            book.seen = max(book.seen, sum)
            return book.acknowledged + book.unknown
        }
        if sum < floor || sum > most { tally.violation("\(name): \(sum) was read, \(floor) to \(most) is right") }
    }

    /// Compares the sum with what is known, once nothing is added any more.
    func verify(_ tally: ChaosTally) async {
        let reads = tally.result.reads
        await read(tally)
        if tally.result.reads == reads { tally.violation("\(name): no answer") }
    }
}
