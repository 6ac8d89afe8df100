import NIOCore

/// The entries at or below a snapshot that its machine still needs, in ascending order without repetition.
public struct LiveIndexes: Sendable, Equatable {
    /// All of them, ascending.
    public private(set) var ascending: [LogIndex]

    /// These indexes, in any order and as often as one likes.
    public init(_ indexes: some Sequence<LogIndex> = []) {
        var sorted = Array(indexes)
        sorted.sort()
        var kept = 0
        for position in sorted.indices where position == 0 || sorted[position] != sorted[kept - 1] {
            sorted[kept] = sorted[position]
            kept += 1
        }
        sorted.removeLast(sorted.count - kept)
        ascending = sorted
    }

    /// How many there are.
    public var count: Int { ascending.count }
    /// Whether there is none.
    public var isEmpty: Bool { ascending.isEmpty }
    /// The highest.
    public var last: LogIndex? { ascending.last }

    /// Whether an index is among them.
    public func contains(_ index: LogIndex) -> Bool {
        let position = position(of: index)
        return position < ascending.count && ascending[position] == index
    }

    /// Those from one index through another; empty when the second is below the first.
    public func within(_ first: LogIndex, through last: LogIndex) -> ArraySlice<LogIndex> {
        guard first <= last else { return [] }
        return ascending[position(of: first)..<position(of: last.next)]
    }

    /// The first position whose index is not below `index`.
    private func position(of index: LogIndex) -> Int {
        var low = 0
        var high = ascending.count
        while low < high {
            let middle = (low + high) / 2
            if ascending[middle] < index { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension LiveIndexes {
    /// How many indexes one piece of the encoding holds at most.
    public static let pieceCount = 65_536

    /// The encoding in pieces of bounded length, each readable by itself: 4 bytes count, 8 bytes first index, then for
    /// each further index its distance from the one before as an unsigned LEB128 number.
    public func encodedPieces() -> [ByteBuffer] {
        stride(from: 0, to: ascending.count, by: Self.pieceCount).map { start in
            let piece = ascending[start..<min(ascending.count, start + Self.pieceCount)]
            var buffer = ByteBuffer()
            buffer.reserveCapacity(12 + piece.count * 2)
            buffer.writeLittle(UInt32(piece.count))
            buffer.writeLittle(piece[start].rawValue)
            var before = piece[start]
            for index in piece.dropFirst() {
                buffer.writeVariableLength(index.rawValue - before.rawValue)
                before = index
            }
            return buffer
        }
    }

    /// Adds the indexes of an encoded piece behind those that are here.
    ///
    /// - Throws: `WireError` when the piece is not one, or its indexes do not follow those that are here.
    public mutating func append(encoded piece: ByteBuffer) throws(WireError) {
        var reader = WireReader(piece)
        let count = Int(try reader.integer(as: UInt32.self))
        // Each index but the first takes a byte at least.
        guard count > 0, count <= Self.pieceCount, count - 1 <= reader.remaining else {
            throw WireError(.malformed, "\(count) live indexes in \(piece.readableBytes) bytes")
        }
        var index = try reader.index()
        guard index > ascending.last ?? .zero else { throw WireError(.malformed, "live indexes that do not ascend") }
        ascending.append(index)
        for _ in 1..<count {
            let (next, overflow) = index.rawValue.addingReportingOverflow(try reader.variableLength())
            guard !overflow, next > index.rawValue, next <= Limits.position else {
                throw WireError(.malformed, "live indexes that do not ascend")
            }
            index = LogIndex(next)
            ascending.append(index)
        }
        guard reader.remaining == 0 else { throw WireError(.malformed, "bytes behind the live indexes") }
    }
}

extension ByteBuffer {
    /// Appends a number as unsigned LEB128: seven bits a byte, lowest first.
    fileprivate mutating func writeVariableLength(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(truncatingIfNeeded: rest))
    }
}

extension WireReader {
    /// Takes an unsigned LEB128 number of at most ten bytes.
    fileprivate mutating func variableLength() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let byte: UInt8 = try integer()
            let bits = UInt64(byte & 0x7f)
            guard shift < 63 || bits <= 1 else { break }
            value |= bits << shift
            if byte & 0x80 == 0 { return value }
        }
        throw WireError(.malformed, "a number of more than 64 bits")
    }
}
