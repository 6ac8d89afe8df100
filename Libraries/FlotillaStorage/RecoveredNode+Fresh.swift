import FlotillaWire

extension RecoveredNode {
    /// What is found on the empty disk of a new node.
    public init(nodeID: NodeID) {
        self.init(
            servers: [], lost: [], peers: [], tombstones: [], closedFiles: [], start: WALStart(nodeID: nodeID),
            report: RecoveryReport())
    }
}
