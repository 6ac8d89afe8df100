/// Memory whose address is a multiple of 4 KiB, as transfers past the page cache need it. It starts as zeros.
///
/// Sendable without a lock because it has one owner at a time: whoever submits an operation with it leaves it alone
/// until that operation's completion has come back, and the two hand-overs order all accesses.
public final class AlignedMemory: @unchecked Sendable {
    /// The alignment of addresses, file offsets and lengths of direct transfers, in bytes.
    public static let alignment = 4_096

    /// The first byte.
    public let base: UnsafeMutableRawPointer
    /// How many bytes there are, a multiple of the alignment.
    public let capacity: Int

    /// Room for at least `capacity` bytes.
    public init(capacity: Int) {
        precondition(capacity >= 0, "memory of a negative size")
        self.capacity = max(Self.alignment, Self.roundUp(capacity))
        base = .allocate(byteCount: self.capacity, alignment: Self.alignment)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: self.capacity)
    }

    deinit { base.deallocate() }

    /// All bytes.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: capacity) }

    /// The next multiple of the alignment.
    @inlinable
    public static func roundUp(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }
}
