import FlotillaClient
import FlotillaMachines
import FlotillaWire
import NIOCore
import Synchronization

/// One key-value cluster that is written to and read while nodes are killed, and what must be true of it.
///
/// One key is overwritten all the time; other keys are put once and kept for long, so that their values must outlive
/// snapshots and compactions; in the end they are deleted. One writer works at a time, so that the order of the puts is
/// known.
final class ChaosStore: Sendable {
    private struct Book {
        /// The number that the writer is at.
        var number = 0
        /// The last number of the overwritten key that was acknowledged, and those after it of unknown outcome.
        var acknowledged = 0
        var unknown: [Int] = []
        /// The highest number that a read has seen.
        var seen = 0
        /// Keys that are certainly there, oldest first, and some that are certainly gone.
        var kept: [Int] = []
        var deleted: [Int] = []
    }

    let name: String
    private let store: ClusterClient<KeyValue>
    private let valueBytes: Int
    /// What values are filled up with, from a place that their number says.
    private let filling: ByteBuffer
    private let book = Mutex(Book())
    /// How many keys are kept.
    private static let keptKeys = 32

    init(_ client: FlotillaClient, name: String, valueBytes: Int) throws {
        self.name = name
        self.valueBytes = valueBytes
        filling = ByteBuffer(bytes: (0..<valueBytes + 256).map { UInt8(truncatingIfNeeded: $0) })
        store = client.cluster(try ClusterName(name), of: KeyValue.self)
    }

    private static let overwritten = KeyValue.Key("overwritten")

    private static func key(_ number: Int) -> KeyValue.Key { KeyValue.Key("kept-\(number)") }

    /// The only value that the put of a number writes under a key: every byte of it can be checked.
    private func value(_ number: Int) -> ByteBuffer {
        var buffer = ByteBuffer(string: "\(number) ")
        let length = max(0, valueBytes - buffer.readableBytes)
        if let bytes = filling.getSlice(at: number &* 31 % 256, length: length) { buffer.writeImmutableBuffer(bytes) }
        return buffer
    }

    // MARK: Writing

    /// Does the next write.
    func write(_ tally: ChaosTally) async {
        let number = book.withLock { book in
            book.number += 1
            return book.number
        }
        if number % 8 == 0 { return await keep(number, tally) }
        if number % 8 == 4, let oldest = takeOldest() { return await delete(oldest, tally) }
        switch await tally.command(
            name, { try await self.process(.put(Self.overwritten, self.value(number), ifIndex: nil)) })
        {
        case .stored?:
            book.withLock { book in
                book.acknowledged = number
                book.unknown = []
            }
        case nil: book.withLock { $0.unknown.append(number) }
        case let reply?: tally.violation("\(name): put \(number) was answered with \(reply)")
        }
    }

    private func keep(_ number: Int, _ tally: ChaosTally) async {
        let reply = await tally.command(name) {
            try await self.process(.put(Self.key(number), self.value(number), ifIndex: nil))
        }
        if case .stored = reply { book.withLock { $0.kept.append(number) } }
    }

    private func delete(_ number: Int, _ tally: ChaosTally) async {
        switch await tally.command(name, { try await self.process(.delete(Self.key(number))) }) {
        case .deleted?:
            book.withLock { book in
                book.deleted.append(number)
                book.deleted.removeFirst(max(0, book.deleted.count - Self.keptKeys))
            }
        case nil: break
        case let reply?: tally.violation("\(name): the delete of kept key \(number) was answered with \(reply)")
        }
    }

    /// A kept key that is to be deleted; from now on it may be there or not.
    private func takeOldest() -> Int? {
        book.withLock { $0.kept.count > Self.keptKeys ? $0.kept.removeFirst() : nil }
    }

    private func process(_ command: KeyValue.Command) async throws -> KeyValue.Reply {
        try await store.process(command).reply
    }

    // MARK: Reading

    /// Reads the overwritten key and one of the others while they are written to.
    func read(_ tally: ChaosTally) async {
        let floor = book.withLock { max($0.acknowledged, $0.seen) }
        guard let found = await find(Self.overwritten, tally) else { return }
        if found < floor { tally.violation("\(name): \(found) was read after \(floor)") }
        let last = book.withLock { book in
            book.seen = max(book.seen, found)
            return book.number
        }
        if found > last { tally.violation("\(name): \(found) was read, \(last) is the last that was put") }
        guard let kept = book.withLock({ $0.kept.randomElement() }), let found = await find(Self.key(kept), tally),
            book.withLock({ $0.kept.contains(kept) })
        else { return }
        if found != kept { tally.violation("\(name): kept key \(kept) was read as \(found)") }
    }

    /// What stands under a key, by its number; 0 for nothing. `nil` when no answer came.
    private func find(_ key: KeyValue.Key, _ tally: ChaosTally) async -> Int? {
        guard let answer = await tally.query(name, { try await self.store.query(.get(key), consistency: .consistent) })
        else { return nil }
        guard case .item(let item) = answer else { return 0 }
        let digits = item.value.readableBytesView.prefix { $0 != UInt8(ascii: " ") }
        guard let number = Int(String(decoding: digits, as: UTF8.self)), item.value == value(number) else {
            tally.violation("\(name): the value under \(key) is none that was put")
            return nil
        }
        return number
    }

    /// Compares everything with what is known, once nothing is written any more.
    func verify(_ tally: ChaosTally) async {
        let book = book.withLock { $0 }
        if let found = await find(Self.overwritten, tally) {
            if found != book.acknowledged, !book.unknown.contains(found) {
                tally.violation("\(name): \(found) found, \(book.acknowledged) acknowledged, unknown \(book.unknown)")
            }
            if found < book.seen { tally.violation("\(name): \(found) found, \(book.seen) was read before") }
        } else {
            tally.violation("\(name): no answer")
        }
        for number in book.kept where await find(Self.key(number), tally) != number {
            tally.violation("\(name): kept key \(number) is lost")
        }
        for number in book.deleted where await find(Self.key(number), tally) != 0 {
            tally.violation("\(name): deleted key \(number) is back")
        }
    }

    /// Has the member on a node lead, so that what is read comes from its files.
    func lead(on node: NodeName) async throws {
        _ = try await eventually("node \(node) leads \(name)") { () -> Bool? in
            do { try await self.store.transferLeadership(to: node) } catch let error as FlotillaError
                where error.code == .alreadyLeader
            { return true }
            return true
        }
    }
}
