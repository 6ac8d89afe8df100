/// How a file is opened.
public struct OpenOptions: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// The options with these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Written as well as read.
    public static let write = OpenOptions(rawValue: 1)
    /// Made if it is not there.
    public static let create = OpenOptions(rawValue: 2)
    /// Made, and refused (EEXIST) if it is there.
    public static let createNew = OpenOptions(rawValue: 4)
    /// Past the page cache: memory, offsets and lengths must be multiples of `AlignedMemory.alignment`.
    public static let direct = OpenOptions(rawValue: 8)
    /// Every write returns only when its data is durable.
    public static let dataSync = OpenOptions(rawValue: 16)
}

/// One thing asked of a file system.
public enum FileOperation: Sendable {
    /// Opens a file; gives `.file`.
    case open(path: String, OpenOptions)
    /// Closes a file; gives `.done`.
    case close(OpenFile)
    /// Reads up to `count` bytes into the start of some memory; gives `.count`.
    case read(OpenFile, at: UInt64, count: Int, into: AlignedMemory)
    /// Writes the first `count` bytes of some memory, all of them or it fails; gives `.done`.
    case write(OpenFile, at: UInt64, count: Int, from: AlignedMemory)
    /// Writes zeros over the file from its start; gives `.done`. Nothing of it is durable before a sync.
    case zeroFill(OpenFile, count: UInt64)
    /// Has the bytes of a range that were written go to the disk now, and waits for them; gives `.done`. Nothing is
    /// durable by it: it keeps a later sync, and with it the log that shares the disk, from meeting all of them at
    /// once. A failure may be the only word of data that is lost: the file is not to be trusted after it.
    case writeOut(OpenFile, at: UInt64, count: Int)
    /// Makes what was written durable, with no more metadata than reading it needs; gives `.done`.
    case syncData(OpenFile)
    /// Makes what was written and all metadata of the file durable; gives `.done`.
    case syncAll(OpenFile)
    /// Makes the entries of a directory durable; gives `.done`.
    case syncDirectory(path: String)
    /// Gives a file another name, replacing what has that name; gives `.done`.
    case rename(from: String, to: String)
    /// Removes a file; gives `.done`.
    case remove(path: String)
    /// The names in a directory; gives `.names`.
    case list(path: String)
    /// Makes a directory; gives `.done`, or EEXIST.
    case makeDirectory(path: String)
    /// Removes a directory that is empty; gives `.done`.
    case removeDirectory(path: String)
    /// The length of a file; gives `.size`, or ENOENT.
    case size(path: String)
    /// Locks a file against every other opener until it is closed; gives `.done`, or EWOULDBLOCK.
    case lock(OpenFile)

    /// What it is called in errors.
    public var name: String {
        switch self {
        case .open: "open"
        case .close: "close"
        case .read: "read"
        case .write: "write"
        case .zeroFill: "zero-fill"
        case .writeOut: "write out"
        case .syncData: "sync data of"
        case .syncAll: "sync"
        case .syncDirectory: "sync directory"
        case .rename: "rename"
        case .remove: "remove"
        case .list: "list"
        case .makeDirectory: "make directory"
        case .removeDirectory: "remove directory"
        case .size: "look up"
        case .lock: "lock"
        }
    }
}
