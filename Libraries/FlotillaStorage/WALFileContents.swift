import FlotillaWire

/// Whose entries a write-ahead log file holds that gets no more of them: what must be in segments or below snapshots
/// before the file may go.
public struct WALFileContents: Equatable, Sendable {
    /// One server with entries in the file.
    public struct Share: Equatable, Sendable {
        /// The server.
        public var server: ServerUID
        /// The highest index of its entries there.
        public var last: LogIndex

        /// A share of these parts.
        public init(server: ServerUID, last: LogIndex) {
            self.server = server
            self.last = last
        }
    }

    /// The file's sequence number.
    public var sequence: UInt64
    /// The servers, in the order of their identities.
    public var shares: [Share]

    /// The contents of a file.
    public init(sequence: UInt64, shares: [Share]) {
        self.sequence = sequence
        self.shares = shares
    }

    init(sequence: UInt64, last: [ServerUID: LogIndex]) {
        self.init(
            sequence: sequence,
            shares: last.map { Share(server: $0.key, last: $0.value) }.sorted { $0.server < $1.server })
    }
}
