import FlotillaMachine
import FlotillaWire
import NIOCore

/// A snapshot is a first piece with what is not about single messages, and pieces with messages in ascending order.
///
/// The first piece: 1 byte 1, the last number (8), the turn (4), a list of consumers (session (8), prefetch (4)), and
/// a list of keys (block, number (8)), oldest first. Further ones: 1 byte 2, a list of messages: number (8),
/// deliveries (4), of which it is forgiven (4), whether it is a dead letter (1), holder (8, 0 for none), and the message (block).
extension Queue {
    private struct Progress: Sendable {
        var isBegun = false
        var ids: ArraySlice<UInt64>
    }

    public func snapshot() -> StateSnapshot? {
        let frozen = self
        return StateSnapshot(from: Progress(ids: [])) { progress in
            guard progress.isBegun else {
                progress = Progress(isBegun: true, ids: frozen.entries.keys.sorted()[...])
                return frozen.firstPiece()
            }
            guard !progress.ids.isEmpty else { return nil }
            return frozen.piece(of: &progress.ids)
        }
    }

    private func firstPiece() -> ByteBuffer {
        var piece = ByteBuffer()
        piece.writeLittle(UInt8(1))
        piece.writeLittle(lastID)
        piece.writeLittle(UInt32(turn))
        piece.writeList(consumers) { piece, consumer in
            consumer.session.encode(into: &piece)
            piece.writeLittle(consumer.prefetch)
        }
        piece.writeList(Array(keys)) { piece, key in
            piece.writeBlock(key)
            piece.writeLittle(numbers[key] ?? 0)
        }
        return piece
    }

    private func piece(of ids: inout ArraySlice<UInt64>) -> ByteBuffer {
        var piece = ByteBuffer()
        piece.writeLittle(UInt8(2))
        piece.writeLittle(UInt32(0))
        var count: UInt32 = 0
        while let id = ids.first, let entry = entries[id],
            count == 0 || piece.writerIndex + entry.body.readableBytes <= StateSnapshot.pieceBytes
        {
            ids.removeFirst()
            piece.writeLittle(id)
            piece.writeLittle(entry.deliveries)
            piece.writeLittle(entry.forgiven)
            piece.writeBool(dead.place(of: id) != nil)
            piece.writeLittle(entry.holder?.rawValue ?? 0)
            piece.writeBlock(entry.body)
            count += 1
        }
        piece.setInteger(count, at: 1, endianness: .little)
        return piece
    }

    public mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        var reader = WireReader(piece)
        switch try reader.integer(as: UInt8.self) {
        case 1: try restoreFirst(&reader)
        case 2:
            let messages = try reader.list(limit: Limits.frameBytes) { (reader) throws(WireError) in
                try Self.message(from: &reader)
            }
            for message in messages { try add(message) }
        case let tag: throw WireError(.malformed, "unknown piece \(tag) of a queue")
        }
        guard reader.remaining == 0 else { throw WireError(.malformed, "bytes behind a piece of a queue") }
    }

    private mutating func restoreFirst(_ reader: inout WireReader) throws(WireError) {
        guard lastID == 0, consumers.isEmpty, entries.isEmpty else {
            throw WireError(.malformed, "the first piece of a queue comes later")
        }
        lastID = try reader.integer()
        turn = Int(try reader.integer(as: UInt32.self))
        consumers = try reader.list(limit: Limits.frameBytes) { (reader) throws(WireError) -> Consumer in
            Consumer(
                session: try SessionID(from: &reader), prefetch: try reader.integer())
        }
        guard turn == 0 || turn < consumers.count else { throw WireError(.malformed, "nobody's turn in a queue") }
        let known = try reader.list(limit: Settings.keysKept) { (reader) throws(WireError) -> (ByteBuffer, UInt64) in
            (try reader.block(limit: Settings.keyBytes), try reader.integer())
        }
        for (key, number) in known { remember(key, number) }
    }

    private struct Restored {
        var id: UInt64
        var entry: Entry
        var isDead: Bool
    }

    private static func message(from reader: inout WireReader) throws(WireError) -> Restored {
        let id: UInt64 = try reader.integer()
        let deliveries: UInt32 = try reader.integer()
        let forgiven: UInt32 = try reader.integer()
        guard forgiven <= deliveries else {
            throw WireError(.malformed, "message \(id) is forgiven more deliveries than it had")
        }
        let isDead = try reader.bool()
        let holder: UInt64 = try reader.integer()
        let body = try reader.block(limit: Limits.commandBytesMax)
        return Restored(
            id: id,
            entry: Entry(
                body: ByteBuffer(bytes: body.readableBytesView), deliveries: deliveries, forgiven: forgiven,
                holder: holder == 0 ? nil : SessionID(holder)),
            isDead: isDead)
    }

    private mutating func add(_ message: Restored) throws(WireError) {
        // Ascending, so that each list of numbers ascends by itself.
        guard message.id > lastRestored else {
            throw WireError(.malformed, "message \(message.id) stands behind \(lastRestored)")
        }
        lastRestored = message.id
        guard message.id <= lastID, entries[message.id] == nil, !message.isDead || message.entry.holder == nil else {
            throw WireError(.malformed, "message \(message.id) can't stand in this queue")
        }
        entries[message.id] = message.entry
        bytes += message.entry.body.readableBytes
        if message.isDead {
            dead.append(message.id)
        } else if let holder = message.entry.holder {
            guard let position = position(of: holder) else {
                throw WireError(.malformed, "message \(message.id) is held by \(holder), which is no consumer")
            }
            consumers[position].held.append(message.id)
        } else {
            ready.append(message.id)
        }
    }
}
