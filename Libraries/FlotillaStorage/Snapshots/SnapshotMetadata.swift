import FlotillaWire
import NIOCore

/// What a snapshot says of itself: of which cluster it is, through which entry it goes, and what a server that starts
/// from it must know besides the machine's state.
///
/// The encoding is read to the end of its bytes, so that a newer minor version can add fields there. Within something
/// longer it must be a block of its own (`ByteBuffer.writeBlock`, `WireReader.block`).
///
/// | bytes | field |
/// | --- | --- |
/// | 16 | ClusterID |
/// | 8 | index of the last entry that the state includes |
/// | 8 | its term |
/// | 8 | its leader's time, nanoseconds since 1970 |
/// | 4 | machine version that is effective there |
/// | 2 + n | machine name: its length and its UTF-8 |
/// | 8 | index of the configuration, 0 for the one that the server was created with |
/// | n | the configuration |
/// | 4 + n | digest of the state: its length, 64 at most, and its bytes; reserved, length 0 |
package struct SnapshotMetadata: Sendable, Equatable {
    /// The cluster.
    package var cluster: ClusterID
    /// The last entry that the state includes; never 0.
    package var index: LogIndex
    /// The term of that entry.
    package var term: Term
    /// The leader's time of that entry, in nanoseconds since 1970.
    package var time: UInt64
    /// The machine version that is effective behind that entry.
    package var machineVersion: MachineVersion
    /// The name of the machine.
    package var machine: String
    /// The members of the cluster as of that entry.
    package var configuration: ClusterConfiguration
    /// Where the configuration stands in the log, `index` at most; 0 for the one that the server was created with.
    package var configurationIndex: LogIndex
    /// A digest of the machine's state, 1 to 64 bytes; reserved, nobody makes one yet.
    package var stateDigest: ByteBuffer?

    private static let digestBytesMax = 64

    /// Metadata of these parts.
    package init(
        cluster: ClusterID, index: LogIndex, term: Term, time: UInt64, machineVersion: MachineVersion, machine: String,
        configuration: ClusterConfiguration, configurationIndex: LogIndex, stateDigest: ByteBuffer? = nil
    ) {
        self.cluster = cluster
        self.index = index
        self.term = term
        self.time = time
        self.machineVersion = machineVersion
        self.machine = machine
        self.configuration = configuration
        self.configurationIndex = configurationIndex
        self.stateDigest = stateDigest
    }
}

extension SnapshotMetadata: WireCodable {
    package func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeLittle(index.rawValue)
        buffer.writeLittle(term.rawValue)
        buffer.writeLittle(time)
        buffer.writeLittle(machineVersion.rawValue)
        buffer.writeText(machine)
        buffer.writeLittle(configurationIndex.rawValue)
        configuration.encode(into: &buffer)
        buffer.writeBlock(stateDigest ?? ByteBuffer())
    }

    package init(from reader: inout WireReader) throws(WireError) {
        cluster = try reader.identifier()
        index = try reader.index()
        term = try reader.term()
        time = try reader.integer()
        machineVersion = MachineVersion(try reader.integer())
        machine = try reader.string()
        configurationIndex = try reader.index()
        configuration = try ClusterConfiguration(from: &reader)
        let digest = try reader.block(limit: Self.digestBytesMax)
        stateDigest = digest.readableBytes > 0 ? digest : nil
        guard index > .zero, configurationIndex <= index else {
            throw WireError(.malformed, "a snapshot at \(index) with the configuration of \(configurationIndex)")
        }
    }
}
