import FlotillaMachine
import FlotillaWire
import NIOCore

/// A snapshot is pieces with keys and a last one that says what they were in all.
///
/// | bytes | a piece with keys | the last piece |
/// | --- | --- | --- |
/// | 1 | 1 | 2 |
/// | 4 | how many keys follow, at least one | |
/// | 8 | | how many keys there were |
/// | 8 | | how many bytes they and their values have |
///
/// A key is 8 bytes index of the command that put its value, 4 bytes length of that value, 4 bytes length of the key
/// and the key. Keys ascend from the first piece to the last.
extension KeyValue {
    private enum Piece {
        static let keys: UInt8 = 1
        static let end: UInt8 = 2
    }

    /// How far a snapshot has been written down.
    private enum Progress: Sendable {
        case start
        case behind(KeyBytes)
        case ended
    }

    public func snapshot() -> StateSnapshot? {
        let pairs = pairs
        return StateSnapshot(from: Progress.start) { progress in
            if case .ended = progress { return nil }
            if let (piece, last) = Self.piece(of: pairs, progress) {
                progress = .behind(last)
                return piece
            }
            progress = .ended
            return Self.lastPiece(of: pairs)
        } liveIndexes: {
            var indexes: [LogIndex] = []
            indexes.reserveCapacity(pairs.count)
            pairs.visit(from: Key([])) { pair in
                indexes.append(pair.place.index)
                return true
            }
            return LiveIndexes(indexes)
        }
    }

    /// The next piece with keys and the last of these; `nil` when there are none left.
    private static func piece(of pairs: KeyTree, _ progress: Progress) -> (piece: ByteBuffer, last: KeyBytes)? {
        // Enough for most keys; a piece with longer ones grows.
        var piece = ByteBufferAllocator().buffer(capacity: min(pairs.count * 64, StateSnapshot.pieceBytes))
        piece.writeLittle(Piece.keys)
        piece.writeLittle(UInt32(0))
        var count: UInt32 = 0
        var last: KeyBytes?
        let before: Key? = if case .behind(let key) = progress { key.key } else { nil }
        pairs.visit(from: before ?? Key([])) { pair in
            if let before, count == 0, pair.key.equals(before.bytes) { return true }
            guard count == 0 || piece.writerIndex + pair.encodedByteCount <= StateSnapshot.pieceBytes else {
                return false
            }
            pair.encode(into: &piece)
            count += 1
            last = pair.key
            return true
        }
        piece.setInteger(count, at: 1, endianness: .little)
        return last.map { (piece, $0) }
    }

    private static func lastPiece(of pairs: KeyTree) -> ByteBuffer {
        var piece = ByteBuffer()
        piece.writeLittle(Piece.end)
        piece.writeLittle(UInt64(pairs.count))
        piece.writeLittle(UInt64(pairs.byteCount))
        return piece
    }

    public mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        guard !isRestored else { throw WireError(.malformed, "a piece behind the last one") }
        var reader = WireReader(piece)
        switch try reader.integer(as: UInt8.self) {
        case Piece.keys:
            let count: UInt32 = try reader.integer()
            guard count > 0 else { throw WireError(.malformed, "a piece without keys") }
            for _ in 0..<count { try restoreKey(from: &reader) }
        case Piece.end:
            let count: UInt64 = try reader.integer()
            let bytes: UInt64 = try reader.integer()
            guard count == UInt64(pairs.count), bytes == UInt64(pairs.byteCount) else {
                throw WireError(
                    .malformed, "\(pairs.count) keys with \(pairs.byteCount) bytes instead of \(count) with \(bytes)")
            }
            isRestored = true
        case let tag: throw WireError(.malformed, "unknown piece \(tag) of a key-value machine")
        }
        guard reader.remaining == 0 else { throw WireError(.malformed, "bytes behind the keys") }
    }

    private mutating func restoreKey(from reader: inout WireReader) throws(WireError) {
        let place = ValuePlace(index: try reader.index(), length: try reader.integer())
        let key = try reader.block(limit: Limits.keyBytes)
        guard place.index > .zero, place.length <= Limits.commandBytesMax, key.readableBytes > 0 else {
            throw WireError(
                .malformed, "a key of \(key.readableBytes) bytes, \(place.length) of value at index \(place.index)")
        }
        let last = pairs.lastKey
        let ascends = key.withUnsafeReadableBytes { key in
            last?.withBytes { ByteOrder.compare($0, key) < 0 } ?? true
        }
        guard ascends else { throw WireError(.malformed, "keys that do not ascend") }
        key.withUnsafeReadableBytes { pairs.put(place, for: $0) }
    }

    public mutating func finishRestore() throws(WireError) {
        guard isRestored else { throw WireError(.truncated, "the last piece is missing") }
        isRestored = false
    }
}

extension KeyPair {
    /// How many bytes the pair takes in a piece.
    fileprivate var encodedByteCount: Int { 16 + key.count }

    fileprivate func encode(into piece: inout ByteBuffer) {
        piece.writeMultipleIntegers(place.index.rawValue, place.length, UInt32(key.count), endianness: .little)
        key.withBytes { _ = piece.writeBytes($0) }
    }
}
