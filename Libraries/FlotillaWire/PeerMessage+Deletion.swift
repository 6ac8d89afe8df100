import NIOCore

extension PeerMessage {
    /// A cluster that was deleted as a whole, and the entry that ended it.
    public struct DeletedCluster: Equatable, Sendable {
        /// The cluster.
        public var cluster: ClusterID
        /// Where in its log the entry stands that ended it.
        public var index: LogIndex
        /// The term of that entry.
        public var term: Term

        /// A deleted cluster of these parts.
        public init(cluster: ClusterID, index: LogIndex, term: Term) {
            self.cluster = cluster
            self.index = index
            self.term = term
        }
    }

    static func deletedClusters(from reader: inout WireReader) throws(WireError) -> [DeletedCluster] {
        try reader.list(limit: Limits.clustersPerPage) { (reader) throws(WireError) -> DeletedCluster in
            try DeletedCluster(from: &reader)
        }
    }
}

extension PeerMessage.DeletedCluster: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeLittle(index.rawValue)
        buffer.writeLittle(term.rawValue)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let cluster: ClusterID = try reader.identifier()
        let index = try reader.index()
        guard index > .zero else { throw WireError(.malformed, "a cluster that ended at index 0") }
        self.init(cluster: cluster, index: index, term: try reader.term())
    }
}
