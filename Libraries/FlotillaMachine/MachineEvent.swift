import FlotillaWire
import NIOCore

/// Something that a machine is told through the log beside its own commands, so that every member is told the same at
/// the same place.
public enum MachineEvent: Equatable, Sendable {
    /// Why a session is told to be down.
    public enum DownReason: UInt8, Sendable {
        /// It has ended.
        case ended = 0
        /// There was none when the machine began to watch it.
        case unknown = 1
    }

    /// A client session that the machine watches is gone.
    case down(SessionID, DownReason)
    /// A node that the machine watches is up, or was when the machine began to watch it.
    case nodeUp(NodeName)
    /// A node that the machine watches is down, or was when the machine began to watch it.
    case nodeDown(NodeName)
    /// A timer of the machine has fired.
    case timeout(String)
    /// From here on the cluster runs another version of the machine. The code is that of the new one already.
    case versionChanged(from: MachineVersion, to: MachineVersion)
}

extension MachineEvent {
    /// The kind of the entry that tells it; `nil` for a change of version, which comes with the first entry of a term.
    package var entryKind: EntryKind? {
        switch self {
        case .down: .down
        case .nodeUp: .nodeUp
        case .nodeDown: .nodeDown
        case .timeout: .timeout
        case .versionChanged: nil
        }
    }

    /// The body of that entry.
    package var entryBody: ByteBuffer {
        var body = ByteBuffer()
        switch self {
        case .down(let session, let reason):
            session.encode(into: &body)
            body.writeLittle(reason.rawValue)
        case .nodeUp(let node), .nodeDown(let node): body.writeText(node.description)
        case .timeout(let name): body.writeText(name)
        case .versionChanged: break
        }
        return body
    }

    /// Reads what an entry tells; `nil` for one that tells nothing, or nothing that can be read, on any member.
    package init?(_ kind: EntryKind, body: ByteBuffer) {
        var reader = WireReader(body)
        do throws(WireError) {
            switch kind {
            case .down:
                let session = try SessionID(from: &reader)
                guard let reason = DownReason(rawValue: try reader.integer()) else { return nil }
                self = .down(session, reason)
            case .nodeUp: self = .nodeUp(try reader.nodeName())
            case .nodeDown: self = .nodeDown(try reader.nodeName())
            case .timeout: self = .timeout(try reader.string())
            case .command, .noop, .configuration, .sessionRegister, .sessionExpire, .endOfLife: return nil
            }
        } catch { return nil }
    }
}

/// What a server of a machine becomes, as its machine is told.
public enum MachineRole: Sendable, Equatable, CaseIterable {
    /// The state is that from before the last restart, or the first one. Told once after a start.
    case recovered
    /// It follows a leader, or waits for one.
    case follower
    /// It asks whether it would be elected.
    case preCandidate
    /// It seeks votes.
    case candidate
    /// It leads: the place to watch sessions and nodes, and to set timers, of which a leader before it had its own.
    case leader
    /// It is brought up by a snapshot of another member.
    case receivingSnapshot
    /// Its cluster was deleted; nothing comes after it.
    case endOfLife
}
