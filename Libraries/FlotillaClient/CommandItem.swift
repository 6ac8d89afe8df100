import FlotillaWire
import NIOCore

/// A command as it waits in a client: the item of a `commands` frame, in which the correlation, the place in a session
/// and the checksum are filled in when it is first written to a connection. Until then nobody knows its serial, since
/// serials follow the order of sending.
@usableFromInline
enum CommandItem {
    /// Appends a command that `write` encodes.
    ///
    /// - Parameter hasSession: whether it leaves room for a place in a session.
    @inlinable
    static func append(hasSession: Bool, into buffer: inout ByteBuffer, _ write: (inout ByteBuffer) -> Void) {
        let start = buffer.writerIndex
        buffer.writeMultipleIntegers(UInt64(0), UInt64(0), endianness: .little)
        if hasSession {
            let prefix = UInt32(ReplyMode.leader.rawValue) | CommandPrefix.sessionFlag
            buffer.writeMultipleIntegers(prefix, UInt64(0), UInt64(0), UInt64(0), endianness: .little)
        } else {
            buffer.writeLittle(UInt32(ReplyMode.leader.rawValue))
        }
        write(&buffer)
        let length = buffer.writerIndex - start - CommandBatch.itemByteCount
        buffer.setInteger(UInt32(truncatingIfNeeded: length), at: start, endianness: .little)
    }

    /// Fills in what is known only when the command is sent.
    ///
    /// - Parameter item: the whole item; its prefix has room for a session if there is one.
    static func seal(_ item: UnsafeMutableRawBufferPointer, in session: CommandPrefix.Session?) {
        let body = UnsafeMutableRawBufferPointer(rebasing: item[CommandBatch.itemByteCount...])
        if let session { session.store(to: body) }
        let checksum = Checksum.crc32c(UnsafeRawBufferPointer(body))
        item.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
    }
}
