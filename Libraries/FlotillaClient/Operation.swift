import FlotillaWire
import NIOCore

/// What is asked of a server's state machine. Each kind has a queue of its own: a frame holds only one of them.
@usableFromInline
enum OperationKind: Int, Sendable, CaseIterable {
    case command = 0
    case consistentQuery
    case leaderQuery
    case localQuery

    /// The kind of a query.
    @usableFromInline
    init(_ consistency: QueryConsistency) {
        switch consistency {
        case .consistent: self = .consistentQuery
        case .leader: self = .leaderQuery
        case .local: self = .localQuery
        }
    }

    /// How fresh the answer must be; `nil` for a command.
    var consistency: QueryConsistency? {
        switch self {
        case .command: nil
        case .consistentQuery: .consistent
        case .leaderQuery: .leader
        case .localQuery: .local
        }
    }

    /// Whether it makes no difference how often it is done.
    var isQuery: Bool { self != .command }
    /// Where in an item of its frame the correlation stands.
    var correlationOffset: Int { isQuery ? 0 : 8 }
    /// What stands before the machine's own bytes in an item of its frame.
    var itemByteCount: Int { isQuery ? 12 : CommandBatch.itemByteCount }
}

/// What a server's state machine answered, in its own encoding.
struct RawResult: Sendable {
    var reply: ByteBuffer
    var index: LogIndex
    var term: Term
    var server: ServerUID
    var leader: ServerID?
}

/// A task that called `process` or `query`.
///
/// A class, although it holds one value: the layout of a continuation is known only at run time, and whatever holds
/// one would have to be copied by calls into the runtime, operation by operation.
final class Caller: Sendable {
    private let continuation: CheckedContinuation<Result<RawResult, any Error>, Never>

    init(_ continuation: CheckedContinuation<Result<RawResult, any Error>, Never>) {
        self.continuation = continuation
    }

    /// Lets the task go on; must be called once.
    func resume(_ outcome: Result<RawResult, any Error>) { continuation.resume(returning: outcome) }
}

/// Who waits for an operation.
enum Sink: Sendable {
    /// A task that called `process` or `query`, with a number by which it may cancel.
    case caller(Caller)
    /// A pipeline, by its number.
    case pipeline(Int)
}

/// Which cluster, and which of a node's connections.
struct RouteKey: Hashable, Sendable {
    var cluster: ClusterName
    var lane: Int
}

/// One operation as its caller submits it; its bytes stand in the frame at `offset`.
struct SubmittedItem: Sendable {
    var sink: Sink
    var correlation: UInt64
    var deadline: NIODeadline
    var offset: Int
    var length: Int
}

/// Operations that were submitted since the event loop looked last, with their bytes in the form of a frame already:
/// room for the head, then the items without their correlations.
struct SubmittedFrame: Sendable {
    /// How much room the head needs: the frame's and the batch's.
    static let headByteCount = FrameHeader.byteCount + CommandBatch.headByteCount

    var route: Int
    var kind: OperationKind
    var buffer: ByteBuffer
    var items: [SubmittedItem] = []

    init(route: Int, kind: OperationKind, capacity: Int) {
        self.route = route
        self.kind = kind
        buffer = ByteBuffer()
        buffer.reserveCapacity(capacity)
        buffer.writeRepeatingByte(0, count: Self.headByteCount)
    }

    /// Moves the bytes out.
    mutating func takeBuffer() -> ByteBuffer {
        var taken = ByteBuffer()
        swap(&taken, &buffer)
        return taken
    }
}
