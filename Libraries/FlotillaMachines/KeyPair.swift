import FlotillaWire

/// Where in the log a key's value stands.
struct ValuePlace: Sendable, Equatable {
    /// The index of the command that put the value.
    var index: LogIndex
    /// How many bytes the value has.
    var length: UInt32
}

/// A key, and where its value stands.
struct KeyPair: Sendable {
    var key: KeyBytes
    var place: ValuePlace

    /// How many bytes key and value have.
    var byteCount: Int { key.count + Int(place.length) }
}

/// The bytes of a key in one piece of memory, never changed once it is made: one allocation for each new key, none for
/// a new value, and one reference to count when a node of the tree is copied.
///
/// Unchecked, because nothing writes to the memory after `init`, so any thread may read it.
struct KeyBytes: @unchecked Sendable {
    /// The head is the length.
    private let memory: ManagedBuffer<Int, UInt8>

    /// Copies a key.
    init(_ key: UnsafeRawBufferPointer) {
        memory = ManagedBuffer.create(minimumCapacity: key.count) { _ in key.count }
        memory.withUnsafeMutablePointerToElements { base in
            UnsafeMutableRawBufferPointer(start: base, count: key.count).copyMemory(from: key)
        }
    }

    /// How many bytes there are.
    var count: Int { memory.withUnsafeMutablePointerToHeader { $0.pointee } }

    /// Whether the key is made of these bytes.
    func equals(_ other: [UInt8]) -> Bool { withBytes { $0.elementsEqual(other) } }

    /// Whether the key begins with some bytes.
    func hasPrefix(_ prefix: [UInt8]) -> Bool { withBytes { $0.starts(with: prefix) } }

    /// A copy of the key.
    var key: KeyValue.Key { withBytes { KeyValue.Key(Array($0)) } }

    /// Calls `body` with the bytes.
    @inline(__always)
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        memory.withUnsafeMutablePointers { count, base in
            body(UnsafeRawBufferPointer(start: base, count: count.pointee))
        }
    }
}
