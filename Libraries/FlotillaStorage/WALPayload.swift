import FlotillaWire
import NIOCore

/// What stands in a file, that is what is appended and the marks of a checkpoint.
enum WALItem: Sendable {
    /// A record that was appended, now or before the checkpoint that repeats it.
    case record(WALRecord)
    /// A checkpoint begins; every file from `oldest` on is needed to read this log.
    case checkpointBegin(oldest: UInt64)
    /// A checkpoint is whole: how many records it has, without its two marks, and the CRC32C of their envelope
    /// checksums in order.
    case checkpointEnd(records: UInt32, checksum: UInt32)

    var kind: WALRecordKind {
        switch self {
        case .record(let record): record.kind
        case .checkpointBegin: .checkpointBegin
        case .checkpointEnd: .checkpointEnd
        }
    }
}

extension WALRecord {
    var kind: WALRecordKind {
        switch self {
        case .entries: .entries
        case .hardState: .hardState
        case .truncated: .truncated
        case .serverCreated: .serverCreated
        case .serverDeleted: .serverDeleted
        case .lastApplied: .lastApplied
        case .snapshotFloor: .snapshotFloor
        case .peer: .peer
        case .filesReleased: .filesReleased
        case .serverLost: .serverLost
        case .logEnd: .logEnd
        }
    }
}

/// The payloads of all kinds but entries. Bytes that follow what this version knows are left alone by a reader, so
/// that a newer minor version can add fields.
enum WALPayload {
    static func encode(_ item: WALItem, into buffer: inout ByteBuffer) {
        switch item {
        case .record(let record): encode(record, into: &buffer)
        case .checkpointBegin(let oldest): buffer.writeLittle(oldest)
        case .checkpointEnd(let records, let checksum):
            buffer.writeLittle(records)
            buffer.writeLittle(checksum)
        }
    }

    private static func encode(_ record: WALRecord, into buffer: inout ByteBuffer) {
        switch record {
        case .entries: preconditionFailure("entries are copied, not encoded")
        case .hardState(_, let state):
            buffer.writeLittle(state.term.rawValue)
            buffer.writeIdentifier(optional: state.vote)
        case .truncated(_, let from): buffer.writeLittle(from.rawValue)
        case .serverCreated(let creation): encode(creation, into: &buffer)
        case .serverDeleted(_, let clusterID, let index, let term):
            buffer.writeIdentifier(clusterID)
            buffer.writeLittle(index.rawValue)
            buffer.writeLittle(term.rawValue)
        case .lastApplied(_, let index): buffer.writeLittle(index.rawValue)
        case .snapshotFloor(_, let index, let term), .logEnd(_, let index, let term):
            buffer.writeLittle(index.rawValue)
            buffer.writeLittle(term.rawValue)
        case .peer(let peer):
            buffer.writeIdentifier(peer.nodeID)
            buffer.writeLittle(peer.incarnation.rawValue)
            buffer.writeText(peer.name.description)
            buffer.writeAddress(peer.address)
        case .filesReleased(let oldest): buffer.writeLittle(oldest)
        case .serverLost: break
        }
    }

    private static func encode(_ creation: ServerCreation, into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(creation.clusterID)
        buffer.writeText(creation.clusterName.description)
        buffer.writeServerID(creation.id)
        buffer.writeText(creation.machine)
        buffer.writeBlock(creation.machineConfiguration)
        buffer.writeLittle(creation.createdAt)
        creation.initial.encode(into: &buffer)
    }

    /// Reads a payload whose checksum was right.
    static func decode(
        _ kind: WALRecordKind, uid: ServerUID, from payload: ByteBuffer
    ) throws(WireError) -> WALItem {
        var reader = WireReader(payload)
        switch kind {
        case .entries: throw WireError(.malformed, "entries are not decoded as a whole")
        case .hardState:
            let term = try reader.term()
            return .record(.hardState(uid, HardState(term: term, vote: try reader.optionalIdentifier())))
        case .truncated:
            let from = try reader.index()
            guard from > .zero else { throw WireError(.malformed, "a truncation from index 0") }
            return .record(.truncated(uid, from: from))
        case .serverCreated: return .record(.serverCreated(try creation(uid, from: &reader)))
        case .serverDeleted:
            let clusterID: ClusterID = try reader.identifier()
            let index = try reader.index()
            return .record(.serverDeleted(uid, clusterID, index: index, term: try reader.term()))
        case .lastApplied: return .record(.lastApplied(uid, try reader.index()))
        case .logEnd:
            let index = try reader.index()
            return .record(.logEnd(uid, index, try reader.term()))
        case .snapshotFloor:
            let index = try reader.index()
            return .record(.snapshotFloor(uid, index, try reader.term()))
        case .peer: return .record(.peer(try peer(from: &reader)))
        case .filesReleased: return .record(.filesReleased(oldest: try reader.integer()))
        case .serverLost: return .record(.serverLost(uid))
        case .checkpointBegin: return .checkpointBegin(oldest: try reader.integer())
        case .checkpointEnd:
            let records: UInt32 = try reader.integer()
            return .checkpointEnd(records: records, checksum: try reader.integer())
        }
    }

    private static func creation(
        _ uid: ServerUID, from reader: inout WireReader
    ) throws(WireError) -> ServerCreation {
        let clusterID: ClusterID = try reader.identifier()
        let clusterName = try reader.clusterName()
        let id = try reader.serverID()
        let machine = try reader.string()
        let machineConfiguration = try reader.block(limit: Limits.machineConfigurationBytes)
        let createdAt: UInt64 = try reader.integer()
        let initial = try ClusterConfiguration(from: &reader)
        return ServerCreation(
            uid: uid, clusterID: clusterID, clusterName: clusterName, id: id, machine: machine,
            machineConfiguration: machineConfiguration, initial: initial, createdAt: createdAt)
    }

    private static func peer(from reader: inout WireReader) throws(WireError) -> KnownPeer {
        let nodeID: NodeID = try reader.identifier()
        let incarnation = Incarnation(try reader.integer())
        let name = try reader.nodeName()
        return KnownPeer(nodeID: nodeID, name: name, address: try reader.address(), incarnation: incarnation)
    }
}
