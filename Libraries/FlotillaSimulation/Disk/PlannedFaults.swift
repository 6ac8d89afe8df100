/// The operations of a disk that are to fail next.
struct PlannedFaults {
    /// How a sync fails.
    enum Sync {
        /// What was to be synced stays dirty, and the next sync writes it.
        case staysDirty
        /// What was to be synced is taken for clean, and no sync ever writes it.
        case marksClean
    }

    private var sync: Sync?
    private var write: Int32?
    private var read = false

    mutating func planSync(_ fault: Sync) { sync = fault }
    mutating func planWrite(_ errno: Int32) { write = errno }
    mutating func planRead() { read = true }

    /// How the sync that happens now fails.
    mutating func takeSync() -> Sync? {
        defer { sync = nil }
        return sync
    }

    /// How the write that happens now fails.
    mutating func takeWrite() -> Int32? {
        defer { write = nil }
        return write
    }

    /// Whether the read that happens now fails.
    mutating func takeRead() -> Bool {
        defer { read = false }
        return read
    }
}
