import NIOCore

/// Whom a consensus message is from and for. Every one names the cluster and both storages, so that nothing that was
/// meant for an earlier server of the same name is ever taken in.
public struct ConsensusAddress: Equatable, Sendable {
    /// The cluster.
    public var cluster: ClusterID
    /// The server that sends.
    public var sender: ServerUID
    /// The server that is meant.
    public var target: ServerUID

    /// An address of these parts.
    public init(cluster: ClusterID, sender: ServerUID, target: ServerUID) {
        self.cluster = cluster
        self.sender = sender
        self.target = target
    }
}

extension ConsensusMessage {
    /// The type of the frame that carries the message.
    public var frameType: FrameType {
        switch self {
        case .appendEntries: .appendEntries
        case .appendReply: .appendReply
        case .commitNotice: .commitNotice
        case .voteRequest: .voteRequest
        case .voteReply: .voteReply
        case .readRound: .readRound
        case .readRoundReply: .readRoundReply
        case .readIndexRequest: .readIndexRequest
        case .readIndexReply: .readIndexReply
        case .timeoutNow: .timeoutNow
        case .removed: .removed
        case .installSnapshot: .installSnapshot
        }
    }

    /// Appends the frame. Behind an `appendEntries` the caller sends `entryBytes` bytes of encoded entries, which the
    /// frame's length already counts.
    public func encodeFrame(to address: ConsensusAddress, entryBytes: Int = 0, into buffer: inout ByteBuffer) {
        let start = buffer.beginFrame(frameType)
        buffer.writeIdentifier(address.cluster)
        buffer.writeIdentifier(address.sender)
        buffer.writeIdentifier(address.target)
        encodeBody(into: &buffer)
        buffer.endFrame(from: start, following: entryBytes)
    }

    private func encodeBody(into buffer: inout ByteBuffer) {
        switch self {
        case .appendEntries(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.previousIndex.rawValue)
            buffer.writeLittle(message.previousTerm.rawValue)
            buffer.writeLittle(message.commitIndex.rawValue)
            buffer.writeLittle(UInt32(message.count))
        case .appendReply(let message): message.encode(into: &buffer)
        case .commitNotice(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.commitIndex.rawValue)
        case .voteRequest(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.kind.rawValue)
            buffer.writeLittle(message.lastIndex.rawValue)
            buffer.writeLittle(message.lastTerm.rawValue)
        case .voteReply(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.kind.rawValue)
            buffer.writeBool(message.granted)
        case .readRound(let message), .readRoundReply(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.round)
        case .readIndexRequest(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.id)
        case .readIndexReply(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.id)
            buffer.writeBool(message.index != nil)
            buffer.writeLittle((message.index ?? .zero).rawValue)
        case .timeoutNow(let message): buffer.writeLittle(message.term.rawValue)
        case .removed(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.committedIndex.rawValue)
        case .installSnapshot(let message):
            buffer.writeLittle(message.term.rawValue)
            buffer.writeLittle(message.index.rawValue)
            buffer.writeLittle(message.indexTerm.rawValue)
        }
    }

    /// Reads the body of a frame of a consensus type.
    ///
    /// - Returns: the message, whom it is for, and the encoded entries behind an `appendEntries` (not checked here),
    ///   otherwise what a newer version has added. `nil` when the type is no consensus message.
    public static func decode(
        _ type: FrameType, body: ByteBuffer
    ) throws(WireError) -> (message: ConsensusMessage, address: ConsensusAddress, rest: ByteBuffer)? {
        guard type.isConsensus else { return nil }
        var reader = WireReader(body)
        let address = ConsensusAddress(
            cluster: try reader.identifier(), sender: try reader.identifier(), target: try reader.identifier())
        guard let message = try decodeBody(type, from: &reader) else { return nil }
        return (message, address, reader.rest)
    }

    private static func decodeBody(
        _ type: FrameType, from reader: inout WireReader
    ) throws(WireError) -> ConsensusMessage? {
        switch type {
        case .appendEntries: .appendEntries(try AppendEntries(from: &reader))
        case .appendReply: .appendReply(try AppendReply(from: &reader))
        case .commitNotice:
            .commitNotice(CommitNotice(term: try reader.term(), commitIndex: try reader.index()))
        case .voteRequest:
            .voteRequest(try VoteRequest(from: &reader))
        case .voteReply: .voteReply(try VoteReply(from: &reader))
        case .readRound: .readRound(ReadRound(term: try reader.term(), round: try reader.integer()))
        case .readRoundReply: .readRoundReply(ReadRound(term: try reader.term(), round: try reader.integer()))
        case .readIndexRequest:
            .readIndexRequest(ReadIndexRequest(term: try reader.term(), id: try reader.integer()))
        case .readIndexReply: .readIndexReply(try ReadIndexReply(from: &reader))
        case .timeoutNow: .timeoutNow(TimeoutNow(term: try reader.term()))
        case .removed: .removed(Removed(term: try reader.term(), committedIndex: try reader.index()))
        case .installSnapshot:
            .installSnapshot(
                InstallSnapshot(term: try reader.term(), index: try reader.index(), indexTerm: try reader.term()))
        default: nil
        }
    }
}

extension AppendEntries {
    init(from reader: inout WireReader) throws(WireError) {
        let term = try reader.term()
        let previousIndex = try reader.index()
        let previousTerm = try reader.term()
        let commitIndex = try reader.index()
        let count: UInt32 = try reader.integer()
        guard reader.remaining / EntryHeader.byteCount >= Int(count) else {
            throw WireError(.malformed, "\(count) entries announced, \(reader.remaining) bytes follow")
        }
        self.init(
            term: term, previousIndex: previousIndex, previousTerm: previousTerm, commitIndex: commitIndex,
            count: Int(count))
    }
}

extension AppendReply {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeLittle(term.rawValue)
        switch outcome {
        case .matched(let index):
            buffer.writeLittle(UInt8(0))
            buffer.writeLittle(index.rawValue)
        case .conflict(let probe, let probeTerm, let lastIndex):
            buffer.writeLittle(UInt8(1))
            buffer.writeLittle(probe.rawValue)
            buffer.writeLittle(probeTerm.rawValue)
            buffer.writeLittle(lastIndex.rawValue)
        case .stale: buffer.writeLittle(UInt8(2))
        }
    }

    init(from reader: inout WireReader) throws(WireError) {
        let term = try reader.term()
        switch try reader.integer(as: UInt8.self) {
        case 0: self.init(term: term, outcome: .matched(try reader.index()))
        case 1:
            self.init(
                term: term,
                outcome: .conflict(
                    probe: try reader.index(), probeTerm: try reader.term(), lastIndex: try reader.index()))
        case 2: self.init(term: term, outcome: .stale)
        case let outcome: throw WireError(.malformed, "unknown outcome \(outcome) of an append")
        }
    }
}

extension VoteRequest.Kind {
    init(from reader: inout WireReader) throws(WireError) {
        let number: UInt8 = try reader.integer()
        guard let kind = Self(rawValue: number) else { throw WireError(.malformed, "unknown kind of vote \(number)") }
        self = kind
    }
}

extension VoteRequest {
    init(from reader: inout WireReader) throws(WireError) {
        let term = try reader.term()
        let kind = try Kind(from: &reader)
        self.init(kind: kind, term: term, lastIndex: try reader.index(), lastTerm: try reader.term())
    }
}

extension VoteReply {
    init(from reader: inout WireReader) throws(WireError) {
        let term = try reader.term()
        let kind = try VoteRequest.Kind(from: &reader)
        self.init(kind: kind, term: term, granted: try reader.bool())
    }
}

extension ReadIndexReply {
    init(from reader: inout WireReader) throws(WireError) {
        let term = try reader.term()
        let id: UInt64 = try reader.integer()
        let leads = try reader.bool()
        let index = try reader.index()
        self.init(term: term, id: id, index: leads ? index : nil)
    }
}
