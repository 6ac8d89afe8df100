/// Why storage refuses or has stopped.
public struct StorageError: Error, Equatable, CustomStringConvertible {
    /// The class of an error.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case fileSystem = "file system"
            case locked
            case wrongNode = "wrong node"
            case version
            case corrupt
            case setting
            case tooLarge = "too large"
            case machine
            case gone
            case hung
        }
        private let value: Value
        private init(_ value: Value) { self.value = value }
        /// A system call failed; nothing that was not confirmed before may be trusted to be durable.
        public static let fileSystem = Code(.fileSystem)
        /// Another process uses the directory.
        public static let locked = Code(.locked)
        /// The directory or file belongs to another node.
        public static let wrongNode = Code(.wrongNode)
        /// The file's format has a major version that this program does not know.
        public static let version = Code(.version)
        /// A file is damaged.
        public static let corrupt = Code(.corrupt)
        /// A setting makes no sense.
        public static let setting = Code(.setting)
        /// Something does not fit where it must.
        public static let tooLarge = Code(.tooLarge)
        /// A machine can't be written down, or refuses what was.
        public static let machine = Code(.machine)
        /// What was asked for is not there any more.
        public static let gone = Code(.gone)
        /// The disk does nothing any more: a thread may be stuck in a system call for good.
        public static let hung = Code(.hung)
        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The class of the error.
    public let code: Code
    /// What is wrong, where, and what to do, for people.
    public let message: String
    /// The damaged places, for `corrupt`.
    public let damages: [Damage]
    /// The system call that failed, for `fileSystem`.
    public let cause: FileSystemError?

    /// An error of these parts.
    public init(_ code: Code, _ message: String, damages: [Damage] = [], cause: FileSystemError? = nil) {
        self.code = code
        self.message = message
        self.damages = damages
        self.cause = cause
    }

    /// A failed system call.
    public init(_ cause: FileSystemError) { self.init(.fileSystem, cause.description, cause: cause) }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

/// Runs something that asks the file system, and tells its errors as storage errors.
@discardableResult
func asStorageError<Value>(
    _ body: () async throws(FileSystemError) -> Value
) async throws(StorageError) -> Value {
    do { return try await body() } catch { throw StorageError(error) }
}
