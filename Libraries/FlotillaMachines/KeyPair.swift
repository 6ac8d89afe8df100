import FlotillaWire
import NIOCore

/// A key and its value in one piece of memory, never changed once it is made: one allocation for each put, and one
/// reference to count when a node of the tree is copied.
///
/// Unchecked, because nothing writes to the memory after `init`, so any thread may read it.
struct KeyPair: @unchecked Sendable {
    private struct Head {
        var keyLength: Int
        var valueLength: Int
        var index: LogIndex
    }

    private let memory: ManagedBuffer<Head, UInt8>

    /// Copies a key and a value.
    ///
    /// - Parameter index: that of the command that puts the value.
    init(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, index: LogIndex) {
        let head = Head(keyLength: key.count, valueLength: value.count, index: index)
        memory = ManagedBuffer.create(minimumCapacity: key.count + value.count) { _ in head }
        memory.withUnsafeMutablePointerToElements { base in
            let bytes = UnsafeMutableRawBufferPointer(start: base, count: key.count + value.count)
            bytes.copyMemory(from: key)
            UnsafeMutableRawBufferPointer(rebasing: bytes[key.count...]).copyMemory(from: value)
        }
    }

    /// A pair with the same key and no value, to mark a border between nodes.
    var separator: KeyPair {
        withKey { KeyPair(key: $0, value: UnsafeRawBufferPointer(start: nil, count: 0), index: .zero) }
    }

    /// The index of the command that put the value.
    var index: LogIndex { memory.withUnsafeMutablePointerToHeader { $0.pointee.index } }

    /// How many bytes key and value have.
    var byteCount: Int { memory.withUnsafeMutablePointerToHeader { $0.pointee.keyLength + $0.pointee.valueLength } }

    /// A copy of the key.
    var key: KeyValue.Key { withKey { KeyValue.Key(Array($0)) } }

    /// A copy of the value.
    var value: ByteBuffer {
        memory.withUnsafeMutablePointers { head, base in
            ByteBuffer(
                bytes: UnsafeRawBufferPointer(start: base + head.pointee.keyLength, count: head.pointee.valueLength))
        }
    }

    /// Calls `body` with the key's bytes.
    @inline(__always)
    func withKey<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        memory.withUnsafeMutablePointers { head, base in
            body(UnsafeRawBufferPointer(start: base, count: head.pointee.keyLength))
        }
    }
}
