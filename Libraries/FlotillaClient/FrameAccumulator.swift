import FlotillaWire
import NIOCore

/// Cuts a stream of bytes into frames. A frame that arrived in one piece is handed out as a slice of what was read.
struct FrameAccumulator {
    /// The longest frame that is allowed, counted as a frame's length field counts.
    var limit: Int
    private var rest = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    /// Adds bytes behind those that are left from before.
    mutating func append(_ bytes: ByteBuffer) {
        if rest.readableBytes == 0 {
            rest = bytes
        } else {
            rest.writeImmutableBuffer(bytes)
        }
    }

    /// Takes the next whole frame.
    ///
    /// - Returns: `nil` when none is there. What is left then moves to memory of its own, with room for the frame that
    ///   has begun, so that more bytes can be added without touching the slices that were handed out.
    mutating func next() throws(WireError) -> (header: FrameHeader, body: ByteBuffer)? {
        guard let header = try load(), rest.readableBytes >= header.frameLength,
            let body = rest.getSlice(at: rest.readerIndex + FrameHeader.byteCount, length: header.bodyLength)
        else {
            separate(wanted: try load()?.frameLength ?? FrameHeader.byteCount)
            return nil
        }
        rest.moveReaderIndex(forwardBy: header.frameLength)
        return (header, body)
    }

    private func load() throws(WireError) -> FrameHeader? {
        var failure: WireError?
        let header = rest.withUnsafeReadableBytes { bytes -> FrameHeader? in
            do throws(WireError) { return try FrameHeader.load(from: bytes, limit: limit) } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        return header
    }

    private mutating func separate(wanted: Int) {
        guard rest.readableBytes > 0 else {
            rest = ByteBuffer()
            return
        }
        // A beginning that already lies at the start of memory with room for its whole frame is its own.
        if rest.readerIndex == 0, rest.capacity >= wanted { return }
        // The promised length is not trusted with memory before its bytes come: at most a megabyte is laid out ahead.
        var own = ByteBuffer()
        own.reserveCapacity(max(rest.readableBytes, min(wanted, 1 << 20)))
        own.writeImmutableBuffer(rest)
        rest = own
    }
}
