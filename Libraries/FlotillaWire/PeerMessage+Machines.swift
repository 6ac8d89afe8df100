import NIOCore

extension PeerMessage {
    /// A machine that a node has.
    public struct Machine: Equatable, Sendable {
        /// The name under which clusters know it.
        public var name: String
        /// The versions of it that the node can run, from the lowest to the highest.
        public var lowest: MachineVersion
        public var highest: MachineVersion

        /// A machine of these parts.
        public init(name: String, lowest: MachineVersion, highest: MachineVersion) {
            self.name = name
            self.lowest = lowest
            self.highest = highest
        }
    }
}

extension PeerMessage.Machine: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeText(name)
        buffer.writeLittle(lowest.rawValue)
        buffer.writeLittle(highest.rawValue)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let name = try reader.string()
        let (lowest, highest) = (MachineVersion(try reader.integer()), MachineVersion(try reader.integer()))
        guard lowest <= highest else {
            throw WireError(.malformed, "versions \(lowest) to \(highest) of machine \(name)")
        }
        self.init(name: name, lowest: lowest, highest: highest)
    }
}
