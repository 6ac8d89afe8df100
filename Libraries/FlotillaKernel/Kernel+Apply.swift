import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// From the committed log to the machine, and from its replies to whoever waits.
extension Kernel {
    /// Applies what is committed and in the table, up to a bound for this turn.
    ///
    /// - Returns: whether there is more.
    func applyCommitted(_ server: HostedServer) -> Bool {
        guard server.failure == nil, !server.storage.isRestoring else { return false }
        let target = lastToApply(of: server)
        guard server.applied < target else {
            answerReads(of: server)
            considerSnapshot(of: server)
            return false
        }
        let first = server.applied.next
        // Effects of what was applied before the restart are dropped run by run, so a run ends there.
        let end = first <= server.replayedThrough ? min(target, server.replayedThrough) : target
        let slices = slicesToApply(of: server, through: end)
        guard !slices.isEmpty else {
            readForReplay(of: server, through: end)
            return false
        }
        var effects = Effects()
        let isAwaited =
            server.pending.mayWait(from: first, through: end)
            || server.watch.notifications.first.map { $0.index <= end } ?? false
        for slice in slices where server.failure == nil {
            server.storage.bytesSinceSnapshot += slice.readableBytes
            apply(slice, to: server, isAwaited: isAwaited, effects: &effects)
        }
        answerReads(of: server)
        if server.machine.hasAux { tellAux(.applied, of: server) }
        issue(effects, of: server)
        tellEndedSessions(of: server)
        letGo(of: server)
        considerSnapshot(of: server)
        return hasMoreToApply(server)
    }

    /// Whether there is something to apply that is at hand.
    func hasMoreToApply(_ server: HostedServer) -> Bool {
        server.failure == nil && !server.storage.isRestoring && !server.storage.isReplaying
            && server.applied < lastToApply(of: server)
    }

    /// What is committed and in the table, and not behind the end of the cluster.
    private func lastToApply(of server: HostedServer) -> LogIndex {
        let last = min(server.core.commitIndex, server.table.lastIndex)
        return min(last, server.core.endIndex ?? last)
    }

    /// The next entries, from memory or as they were read from segments; none when they must be read.
    private func slicesToApply(of server: HostedServer, through end: LogIndex) -> [ByteBuffer] {
        let first = server.applied.next
        if server.table.contains(first) {
            server.storage.replay = []
            let through = server.table.extent(
                from: first, through: end, bytes: configuration.applyBytesPerTurn
            ).through
            return server.table.slices(from: first, through: through)
        }
        while let region = server.storage.replay.first, region.last < first { server.storage.replay.removeFirst() }
        guard let region = server.storage.replay.first, region.first <= first else { return [] }
        return [region.slice(from: first, through: min(region.last, end))]
    }

    private func apply(_ slice: ByteBuffer, to server: HostedServer, isAwaited: Bool, effects: inout Effects) {
        let first = server.applied.next
        var collected: Replies?
        if isAwaited {
            // The kernel's own reference is let go, so that the memory is filled in place.
            collected = replies
            replies = Replies()
            collected?.removeAll()
        }
        var issued = Effects()
        do {
            (server.applied, server.appliedTerm) = try server.machine.apply(
                slice, version: &server.machineVersion, replies: &collected, effects: &issued)
        } catch {
            server.applied = max(server.applied, error.index.previous)
            halt(server, error)
            if error.isOfVersion { leaveToNewer(server) }
        }
        server.counters.entriesApplied += UInt64(server.applied.next - first)
        if server.applied > server.replayedThrough { for effect in issued.list { effects.add(effect) } }
        if let collected {
            reply(collected, from: first, for: server)
            notify(collected, from: first, of: server)
            replies = collected
        }
    }

    func halt(_ server: HostedServer, _ failure: MachineFailure) {
        server.failure = failure
        output.events.append(.machineHalted(server.creation.id, failure.description))
        reject(server.pending.takeAll(from: failure.index), by: server, halted(server, failure))
        reject(server.displaced.takeAll().map(\.waiter), by: server, halted(server, failure))
        refuseSnapshots(of: server, halted(server, failure))
        for ticket in server.reads.takeAllReady() { refuse(ticket, of: server, halted(server, failure)) }
    }

    /// The code of this node is too old, or too new, for what the cluster runs: it keeps the log, and others lead.
    func leaveToNewer(_ server: HostedServer) {
        if server.core.role == .leader { stepAside(server) }
        bar(server)
    }

    // MARK: Replies

    /// Hands replies to whoever waits: runs of the same connection are written in one go.
    private func reply(_ replies: Replies, from first: LogIndex, for server: HostedServer) {
        var offset = 0
        let count = replies.ends.count
        var refused = replies.refused[...]
        var repeated = replies.repeated[...]
        while offset < count {
            guard let waiter = server.pending.take(first + offset) else {
                offset += 1
                continue
            }
            guard let link = links[waiter.link] else {
                offset += 1
                continue
            }
            link.openCommands -= 1
            link.openCommandBytes -= waiter.bytes
            while let first = refused.first, first.position < offset { refused.removeFirst() }
            if let first = refused.first, first.position == offset {
                reject([waiter.correlation], server: server.uid, error(for: first.refusal, by: server), on: link)
                offset += 1
                continue
            }
            link.writeResults(.results, server: server.uid, term: server.core.term) { buffer in
                let start = buffer.writerIndex
                var written = 0
                var correlation = waiter.correlation
                while true {
                    let index = repeated.take(offset) ?? first + offset
                    writeResult(replies, at: offset, index: index, correlation: correlation, into: &buffer)
                    offset += 1
                    written += 1
                    // A run ends where its frame has grown long; the next run begins another.
                    guard offset < count, buffer.writerIndex - start < Limits.appendBytes,
                        refused.first.map({ $0.position != offset }) ?? true,
                        let next = server.pending.take(first + offset, if: waiter.link)
                    else { return written }
                    correlation = next.correlation
                    link.openCommands -= 1
                    link.openCommandBytes -= next.bytes
                }
            }
            markDirty(link)
        }
    }

    private func error(for refusal: Replies.Refusal, by server: HostedServer) -> FlotillaError {
        switch refusal {
        case .unreadable:
            FlotillaError(.malformed, "the machine of \(server.creation.id) can't read this command")
        case .unknownSession:
            FlotillaError(.sessionExpired, "\(server.creation.clusterName) knows the session of this command no more")
        case .replyGone:
            FlotillaError(.replyGone, "the command was applied before, and its reply is not known any more")
        }
    }

    private func writeResult(
        _ replies: Replies, at offset: Int, index: LogIndex, correlation: UInt64, into buffer: inout ByteBuffer
    ) {
        let start = offset == 0 ? 0 : replies.ends[offset - 1]
        let length = replies.ends[offset] - start
        let total = ResultBatch.itemByteCount + length
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { output in
            guard let target = output.baseAddress else { return 0 }
            target.storeBytes(of: correlation.littleEndian, as: UInt64.self)
            target.storeBytes(of: index.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
            target.storeBytes(of: UInt32(truncatingIfNeeded: length).littleEndian, toByteOffset: 16, as: UInt32.self)
            replies.bytes.withUnsafeReadableBytes { bytes in
                UnsafeMutableRawBufferPointer(start: target + ResultBatch.itemByteCount, count: length)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + length]))
            }
            return total
        }
    }
}

extension ArraySlice<(position: Int, index: LogIndex)> {
    /// The index that stands for a position, which must not fall from call to call; `nil` where there is none.
    fileprivate mutating func take(_ position: Int) -> LogIndex? {
        guard !isEmpty else { return nil }
        while let next = first, next.position < position { removeFirst() }
        return first.flatMap { $0.position == position ? $0.index : nil }
    }
}
