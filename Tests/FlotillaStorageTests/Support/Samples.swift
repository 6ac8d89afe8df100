import FlotillaStorage
import FlotillaWire
import NIOCore

/// Values that tests share.
enum Sample {
    static let nodeID = NodeID(high: 0x1111, low: 0x2222)
    static let clusterID = ClusterID(high: 7, low: 8)

    static func uid(_ number: UInt64) -> ServerUID { ServerUID(high: 0xabcd, low: number) }

    static func name(_ text: String) -> NodeName {
        // The texts in tests are valid names.
        try! NodeName(text)
    }

    static func configuration(_ number: UInt64) -> ClusterConfiguration {
        let node = name("n1")
        // The texts are valid names.
        let id = ServerID(cluster: try! ClusterName("kv"), node: node)
        return ClusterConfiguration(members: [
            Member(
                id: id, uid: uid(number), nodeID: nodeID, address: NodeAddress(host: "127.0.0.1", port: 7401))
        ])
    }

    static func creation(_ number: UInt64) -> ServerCreation {
        // The texts are valid names.
        let cluster = try! ClusterName("kv\(number)")
        return ServerCreation(
            uid: uid(number), clusterID: clusterID, clusterName: cluster,
            id: ServerID(cluster: cluster, node: name("n1")), machine: "kv",
            machineConfiguration: ByteBuffer(string: "m"), initial: configuration(number), createdAt: 99)
    }

    static func peer(_ incarnation: UInt64) -> KnownPeer {
        KnownPeer(
            nodeID: NodeID(high: 5, low: 6), name: name("n2"), address: NodeAddress(host: "::1", port: 7402),
            incarnation: Incarnation(incarnation))
    }

    /// One encoded entry.
    static func entry(_ index: UInt64, term: UInt64, body: ByteBuffer, kind: EntryKind = .command) -> ByteBuffer {
        let checksum = body.withUnsafeReadableBytes { Checksum.crc32c($0) }
        let header = EntryHeader(
            kind: kind, bodyLength: UInt32(body.readableBytes), index: LogIndex(index), term: Term(term),
            time: 1_000 + index, bodyChecksum: checksum)
        let bytes = [UInt8](unsafeUninitializedCapacity: EntryHeader.byteCount) { buffer, count in
            if let base = UnsafeMutableRawBufferPointer(buffer).baseAddress { header.store(to: base) }
            count = EntryHeader.byteCount
        }
        var entry = ByteBuffer(bytes: bytes)
        entry.writeImmutableBuffer(body)
        return entry
    }

    /// Encoded entries back to back, with bodies of a given length.
    static func entryBytes(_ indexes: ClosedRange<UInt64>, term: UInt64, body: Int = 20) -> ByteBuffer {
        var bytes = ByteBuffer()
        for index in indexes {
            let filler = ByteBuffer(repeating: UInt8(truncatingIfNeeded: index &* 31 &+ term), count: body)
            bytes.writeImmutableBuffer(entry(index, term: term, body: filler))
        }
        return bytes
    }

    static func entries(
        _ number: UInt64, _ indexes: ClosedRange<UInt64>, term: UInt64, epoch: UInt32 = 0, body: Int = 20
    ) -> WALRecord {
        .entries(
            EntriesRecord(
                uid: uid(number), epoch: LogEpoch(epoch), first: LogIndex(indexes.lowerBound), count: indexes.count,
                lastTerm: Term(term), bytes: entryBytes(indexes, term: term, body: body)))
    }

    static func hardState(_ number: UInt64, term: UInt64, vote: UInt64? = nil) -> WALRecord {
        .hardState(uid(number), HardState(term: Term(term), vote: vote.map(uid)))
    }
}
