/// Compares bytes as `memcmp` does, eight at a time: keys are short, and a call would cost more than the work.
enum ByteOrder {
    /// Negative, zero or positive as `left` stands before, at or after `right`.
    @inline(__always)
    static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let common = min(left.count, right.count)
        guard common > 0, let leftBase = left.baseAddress, let rightBase = right.baseAddress else {
            return left.count - right.count
        }
        var offset = 0
        while offset + 8 <= common {
            let leftWord = leftBase.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let rightWord = rightBase.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if leftWord != rightWord { return UInt64(bigEndian: leftWord) < UInt64(bigEndian: rightWord) ? -1 : 1 }
            offset += 8
        }
        while offset < common {
            if left[offset] != right[offset] { return Int(left[offset]) - Int(right[offset]) }
            offset += 1
        }
        return left.count - right.count
    }

    /// How many bytes both begin with, `limit` at most.
    static func commonPrefix(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, limit: Int
    ) -> Int {
        let most = min(left.count, right.count, limit)
        return (0..<most).first { left[$0] != right[$0] } ?? most
    }

    /// Eight bytes from `start` on as a number that orders as they do, zeros where the bytes have ended.
    @inline(__always)
    static func head(of bytes: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
        if start + 8 <= bytes.count {
            return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        }
        var head: UInt64 = 0
        for offset in start..<(start + 8) { head = head << 8 | (offset < bytes.count ? UInt64(bytes[offset]) : 0) }
        return head
    }
}
