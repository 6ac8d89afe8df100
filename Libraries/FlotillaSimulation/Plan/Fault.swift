import FlotillaStorage
import FlotillaWire

/// Something that goes wrong, or that an operator does while things go wrong.
package enum Fault: Equatable, Sendable {
    /// Which node is meant.
    package enum Target: Equatable, Sendable, CustomStringConvertible {
        case node(Int)
        /// Whoever leads the cluster with this number when the time comes.
        case leader(Int)

        package var description: String {
            switch self {
            case .node(let number): "n\(number + 1)"
            case .leader(let cluster): "the leader of cluster \(cluster)"
            }
        }
    }

    /// How a disk is damaged while nobody looks.
    package enum Rot: String, Equatable, Sendable, CaseIterable {
        case bitFlip = "a bit flips"
        case lostWrite = "a write was never made"
        case misdirectedWrite = "a write went elsewhere"
        case serverFile = "a bit of a segment or a snapshot flips"
    }

    /// What a log may be about to write.
    package enum Moment: String, Equatable, Sendable, CaseIterable {
        case term = "a term"
        case truncation = "a truncation"
        case entries = "entries"
    }

    /// The process is killed and started again after a while.
    case kill(Target, downFor: UInt64)
    /// The power fails.
    case powerLoss(Target, downFor: UInt64)
    /// The power of all fails at once.
    case powerLossOfAll(downFor: UInt64)
    /// The process is stopped in good order and started again.
    case restart(Target, downFor: UInt64)
    /// The process stands still.
    case pause(Target, for: UInt64)
    /// Nothing passes in some directions between nodes: pairs of from and to.
    case partition([[Int]], for: UInt64)
    /// A node hears nobody, or is heard by nobody.
    case oneWay(Target, hearsNobody: Bool, for: UInt64)
    /// Nothing passes between a node and all others.
    case cutOff(Target, for: UInt64)
    /// The node is lost while its log is about to write something of this kind: a crash at the worst time.
    case ambush(Target, Moment, losesPower: Bool, downFor: UInt64)
    /// Connections break in the middle of what they carry.
    case reset(Int, Int)
    /// Everything from one node to another takes longer.
    case slowLink(from: Int, to: Int, by: UInt64, for: UInt64)
    /// The wall clock jumps.
    case wallJump(Int, by: Int64)
    /// The clocks go too fast or too slow, in thousandths.
    case clockRate(Int, UInt64, for: UInt64)
    /// The disk is slower by a factor.
    case slowDisk(Target, factor: UInt64, for: UInt64)
    /// The disk does nothing for a while.
    case stalledDisk(Target, for: UInt64)
    /// The disk is full.
    case fullDisk(Int, for: UInt64)
    /// The next sync fails; the system may take the data for written all the same.
    case failedSync(Target, marksClean: Bool)
    /// The next write fails.
    case failedWrite(Target)
    /// The process is killed, and the first read of its next life fails.
    case failedRead(Int)
    /// Something on a disk changes that nobody wrote.
    case rot(Int, Rot)
    /// A computer gets an empty disk.
    case wipe(Int)
    /// The operator wants another leader.
    case transfer(cluster: Int, to: Int)
    /// The operator wants an election.
    case election(cluster: Int, at: Int)
    /// The operator adds a member.
    case addMember(cluster: Int, on: Int, MemberRole)
    /// The operator removes the member on a node.
    case removeMember(cluster: Int, on: Int)

    /// What kind of fault it is, for counting.
    package var kind: String {
        switch self {
        case .kill: "kill"
        case .powerLoss: "power loss"
        case .powerLossOfAll: "power loss of all"
        case .restart: "restart"
        case .pause: "pause"
        case .partition: "partition"
        case .oneWay: "one-way partition"
        case .cutOff: "cut-off node"
        case .ambush: "crash in a write"
        case .reset: "connection reset"
        case .slowLink: "slow link"
        case .wallJump: "wall clock jump"
        case .clockRate: "clock drift"
        case .slowDisk: "slow disk"
        case .stalledDisk: "stalled disk"
        case .fullDisk: "full disk"
        case .failedSync: "failed sync"
        case .failedWrite: "failed write"
        case .failedRead: "failed read"
        case .rot: "rot"
        case .wipe: "wipe"
        case .transfer: "leadership transfer"
        case .election: "triggered election"
        case .addMember: "member added"
        case .removeMember: "member removed"
        }
    }
}

/// A fault with its time.
package struct PlannedFault: Equatable, Sendable {
    /// Its number in the plan, which it keeps when other faults are left out.
    package var number: Int
    /// Nanoseconds since the world began.
    package var time: UInt64
    package var fault: Fault
}

extension PlannedFault: CustomStringConvertible {
    /// Number, time and what happens.
    package var description: String { "\(number): at \(time / 1_000_000) ms, \(fault)" }
}

extension Fault.Moment {
    /// Whether a record is of the kind that is meant.
    func isMeant(_ record: WALRecord) -> Bool {
        switch (self, record) {
        case (.term, .hardState), (.truncation, .truncated), (.entries, .entries): true
        default: false
        }
    }
}
