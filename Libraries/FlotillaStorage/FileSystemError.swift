#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A system call that failed: which, on what, and how.
public struct FileSystemError: Error, Equatable, CustomStringConvertible {
    /// What was asked, as `FileOperation.name` says it.
    public let operation: String
    /// The path that it was asked of.
    public let path: String
    /// The system's error number.
    public let errno: Int32

    /// An error of these parts.
    public init(operation: String, path: String, errno: Int32) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    /// Whether there is no room: the device is full, or the user's quota is used up.
    public var isOutOfSpace: Bool { errno == ENOSPC || errno == EDQUOT }
    /// Whether something could not be read, rather than changed.
    public var isOfReading: Bool { ["open", "read", "list", "look up"].contains(operation) }
    /// Whether there is no such file or directory.
    public var isNotFound: Bool { errno == ENOENT }
    /// Whether this user may not do it.
    public var isNotAllowed: Bool { errno == EACCES || errno == EPERM }
    /// Whether the name is taken.
    public var isAlreadyThere: Bool { errno == EEXIST }
    /// Whether somebody else holds the lock.
    public var isLocked: Bool { errno == EWOULDBLOCK }
    /// Whether the file system does not take such an operation or such options at all.
    public var isUnsupported: Bool { errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS }

    /// One line for people.
    public var description: String { "cannot \(operation) \(path): \(String(cString: strerror(errno)))" }
}
