import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// A segment that is being made good: what is damaged of it is fetched from the other members, one after another.
struct Repair {
    var order: RepairOrder
    /// The entries that are missing, ascending; `nil` until that is known.
    var missing: [LogIndex]?
    /// How many of them have come, and what has.
    var found = 0
    var entries = ByteBuffer()
    /// Who was asked last, and when.
    var asked: ServerUID?
    var askedAt: Instant
    /// The members that do not have the next one, and since when none of them has had it.
    var without: Set<ServerUID> = []
    var nobodySince: Instant?
    /// Whether the new segment is being written.
    var isWriting = false
}

/// Damaged entries are fetched again from other members. Whatever is committed is the same everywhere, so none of them
/// needs to lead, and every entry shows by its checksums and its index that it is the right one.
extension Kernel {
    /// How long to wait for an answer before another member is asked.
    private static let patience = Duration.seconds(1)
    /// How long all members must say that they do not have an entry: one may not have committed it yet, or its disk may be
    /// well again in a moment.
    private static let lastPatience = Duration.seconds(10)
    /// How much is sent at once, unless a single entry is longer.
    private static let replyBytes = 256 << 10

    // MARK: Here

    /// Takes note of damage in a server's segments, and begins to make it good.
    ///
    /// - Returns: `false` when that can't be done: no segment is concerned, or there is nobody to ask.
    func repair(_ server: HostedServer, _ error: StorageError) -> Bool {
        guard let damage = error.damages.first, damage.server == server.uid,
            let name = damage.file.split(separator: "/").last, let number = SegmentFormat.number(ofFile: String(name))
        else { return false }
        return repair(server, segment: number)
    }

    func repair(_ server: HostedServer, segment number: UInt64) -> Bool {
        guard !server.members.isEmpty else { return false }
        guard !server.storage.isWritingSegments, server.storage.incoming == nil else {
            server.storage.wantsRepair = number
            return true
        }
        // What is not committed yet may still be truncated. Whoever reads it tries again.
        guard let slice = server.storage.segments.slice(of: number), slice.range.upperBound <= server.core.commitIndex
        else { return true }
        output.events.append(.repairBegan(server.creation.id, segment: number))
        let order = RepairOrder(
            slice: slice, snapshot: server.storage.floor,
            through: min(server.storage.floor?.index ?? .zero, server.core.logTerms.baseIndex),
            number: takeNumbers(of: server), salt: random.next())
        server.storage.isWritingSegments = true
        // What the order goes by must stay until it is done.
        server.storage.compactingBy = server.storage.floor
        server.storage.repair = Repair(order: order, askedAt: now)
        start(.examine(order), of: server.uid, .repair)
        return true
    }

    func examined(_ missing: [LogIndex], for server: HostedServer) {
        guard server.storage.repair != nil else { return }
        server.storage.repair?.missing = missing
        serversInRepair.append(server)
        goOnWithRepair(of: server)
    }

    /// Asks for the next entries, or writes what has come.
    private func goOnWithRepair(of server: HostedServer) {
        guard let repair = server.storage.repair, let missing = repair.missing, !repair.isWriting else { return }
        guard repair.found < missing.count else {
            server.storage.repair?.isWriting = true
            return start(.repair(repair.order, with: repair.entries), of: server.uid, .repair)
        }
        let others = server.members.filter { $0.uid != server.uid }
        guard others.contains(where: { !repair.without.contains($0.uid) }) else {
            return nobodyHas(missing[repair.found], repair, of: server)
        }
        let able = others.filter { !repair.without.contains($0.uid) && $0.peer?.isUp == true }
        // Whoever did not answer in time comes last.
        guard let member = able.first(where: { $0.uid != repair.asked }) ?? able.first, let peer = member.peer else {
            return
        }
        server.storage.repair?.asked = member.uid
        server.storage.repair?.askedAt = now
        let address = ConsensusAddress(cluster: server.creation.clusterID, sender: server.uid, target: member.uid)
        let next = missing[repair.found...].prefix(EntriesRequest.maxCount)
        send(.entriesRequest(EntriesRequest(address: address, indexes: Array(next))), to: peer)
    }

    private func nobodyHas(_ index: LogIndex, _ repair: Repair, of server: HostedServer) {
        let since = repair.nobodySince ?? now
        guard now - since < Self.lastPatience else {
            let cluster = server.creation.clusterName
            return lose(server, because: "no member of \(cluster) has entry \(index) any more, which is damaged here")
        }
        server.storage.repair?.nobodySince = since
        server.storage.repair?.without = []
        server.storage.repair?.asked = nil
        server.storage.repair?.askedAt = now
    }

    func receive(_ reply: EntriesReply, from peer: Peer) {
        guard let server = serversByUID[reply.address.target], server.creation.clusterID == reply.address.cluster,
            let repair = server.storage.repair, let missing = repair.missing, repair.found < missing.count,
            missing[repair.found] == reply.first, repair.asked == reply.address.sender, !repair.isWriting
        else { return }
        let count = verify(reply.entries, against: missing[repair.found...], of: server)
        if count > 0 {
            server.storage.repair?.found += count
            server.storage.repair?.entries.writeImmutableBuffer(reply.entries)
            server.storage.repair?.without = []
            server.storage.repair?.nobodySince = nil
            server.storage.repair?.asked = nil
        } else {
            server.storage.repair?.without.insert(reply.address.sender)
        }
        goOnWithRepair(of: server)
    }

    /// Checks that these are the entries that were asked for.
    ///
    /// - Returns: how many there are; 0 when anything is wrong with them.
    private func verify(_ entries: ByteBuffer, against expected: ArraySlice<LogIndex>, of server: HostedServer) -> Int {
        entries.withUnsafeReadableBytes { bytes in
            var offset = 0
            var count = 0
            for index in expected where offset < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                // Whatever is wrong with it, it is not the entry, and somebody else is asked.
                guard let header = try? EntryHeader.verify(rest), header.index == index,
                    server.core.logTerms.term(at: index).map({ $0 == header.term }) ?? true
                else { return 0 }
                offset += header.entryLength
                count += 1
            }
            return offset == bytes.count ? count : 0
        }
    }

    /// The segment is whole again.
    func repaired(_ segment: Segment?, for server: HostedServer) {
        guard let repair = endRepair(of: server) else { return }
        server.counters.entriesRepaired += UInt64(repair.found)
        output.events.append(.repairEnded(server.creation.id, entries: repair.found))
        guard let segment else { return compactionEnded(of: server) }
        let replaced = server.storage.segments.add(segment)
        start(.removeSegments(replaced), of: server.uid, .removeSegments)
        step(server, .entriesFetched)
    }

    func couldNotRepair(_ error: StorageError, for server: HostedServer) {
        guard endRepair(of: server) != nil else { return }
        compactionEnded(of: server)
        // What else is damaged by now is found by the next attempt.
        if let cause = error.cause, !cause.isOutOfSpace, !cause.isOfReading { giveUp(error) }
    }

    private func endRepair(of server: HostedServer) -> Repair? {
        serversInRepair.removeAll { $0 === server }
        defer { server.storage.repair = nil }
        return server.storage.repair
    }

    /// Asks others where there was no answer.
    func watchRepairs() {
        for server in serversInRepair {
            guard let repair = server.storage.repair, !repair.isWriting, repair.askedAt + Self.patience <= now else {
                continue
            }
            // Whoever had nothing may have it by now.
            if repair.asked == nil { server.storage.repair?.without = [] }
            server.storage.repair?.askedAt = now
            goOnWithRepair(of: server)
        }
    }

    // MARK: Elsewhere

    /// Another member asks for entries.
    func receive(_ request: EntriesRequest, from peer: Peer) {
        guard peer.isUp, let node = peer.id else { return }
        guard let server = serversByUID[request.address.target], server.creation.clusterID == request.address.cluster
        else { return send(.unknownServer(request.address.target, request.address.cluster), to: peer) }
        let indexes = request.indexes.prefix { $0 <= server.core.commitIndex }
        let inMemory = indexes.prefix { server.table.contains($0) }.compactMap { server.table.entry(at: $0) }
        guard inMemory.isEmpty else { return lend(inMemory, answering: request, to: node) }
        let wanted = indexes.map { (index: $0, segment: server.storage.segments.lookUp($0)) }
        start(.lookUp(wanted), of: server.uid, .lend(request, node))
    }

    /// Sends what there is of the entries that were asked for, up to the first that is not.
    func lend(_ entries: [ByteBuffer?], answering request: EntriesRequest, to node: NodeID) {
        guard let peer = peersByID[node], peer.isUp, let first = request.indexes.first else { return }
        var bytes = ByteBuffer()
        for case let entry? in entries.prefix(while: { $0 != nil }) {
            guard bytes.readableBytes == 0 || bytes.readableBytes + entry.readableBytes <= Self.replyBytes else {
                break
            }
            bytes.writeImmutableBuffer(entry)
        }
        send(.entriesReply(EntriesReply(address: request.address.reversed, first: first, entries: bytes)), to: peer)
    }
}
