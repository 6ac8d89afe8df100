import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// What of each server is durable, worked out from what its node hands to its log and what the log reports, apart from
/// what the server itself makes of that.
struct DurableLogs {
    /// Entries on their way to the disk.
    private struct Written {
        var epoch: LogEpoch
        var first: LogIndex
        var lines: [LogLine]

        var last: LogIndex { first + (lines.count - 1) }
    }

    private struct Server {
        var hardState: HardState
        var lines: [LogLine]
        /// In the order in which they were handed over.
        var written: [Written] = []

        /// Takes the first so many lines of what was handed over first.
        mutating func land(_ count: Int) {
            let batch = written[0]
            // Behind a snapshot that superseded the log, entries begin anew.
            while UInt64(lines.count) + 1 < batch.first.rawValue { lines.append(.covered) }
            lines.removeLast(max(0, lines.count - Int(batch.first.rawValue) + 1))
            lines.append(contentsOf: batch.lines.prefix(count))
            if count == batch.lines.count {
                written.removeFirst()
            } else {
                written[0].first = batch.first + count
                written[0].lines.removeFirst(count)
            }
        }
    }

    private var servers: [ServerUID: Server] = [:]

    /// A process has read a server from its disk.
    ///
    /// - Parameter stored: the lines before those in its table.
    mutating func recovered(_ server: RecoveredServer, stored: [LogLine]) {
        servers[server.creation.uid] = Server(
            hardState: server.hardState,
            lines: server.table.isEmpty
                ? stored
                : stored
                    + server.table.slices(from: server.table.firstIndex, through: server.table.lastIndex).flatMap(
                        LogLine.read))
    }

    /// Records were handed to the log.
    mutating func handedOver(_ records: [WALRecord]) {
        for record in records {
            switch record {
            case .serverCreated(let creation): servers[creation.uid] = Server(hardState: .initial, lines: [])
            case .entries(let run):
                servers[run.uid]?.written.append(
                    Written(epoch: run.epoch, first: run.first, lines: LogLine.read(run.bytes)))
            default: break
            }
        }
    }

    /// The log has said what is durable.
    mutating func became(_ notices: [DurableNotice]) {
        for notice in notices {
            switch notice {
            case .hardState(let uid, let state): servers[uid]?.hardState = state
            case .entries(let uid, let epoch, let through, _): landed(uid, epoch: epoch, through: through)
            case .serverCreated, .serverDeleted, .peer, .snapshotFloor, .fileClosed: break
            }
        }
    }

    private mutating func landed(_ uid: ServerUID, epoch: LogEpoch, through: LogIndex) {
        while let batch = servers[uid]?.written.first {
            // Records of one server stay in order, so those of earlier epochs are there too.
            if batch.epoch < epoch || (batch.epoch == epoch && batch.last <= through) {
                servers[uid]?.land(batch.lines.count)
            } else if batch.epoch == epoch, batch.first <= through {
                return servers[uid]?.land(through - batch.first + 1) ?? ()
            } else {
                return
            }
        }
    }

    /// The term and vote of a server as they are on disk.
    func hardState(of server: ServerUID) -> HardState? { servers[server]?.hardState }

    /// The entry that a server has on disk at an index.
    func line(of server: ServerUID, at index: LogIndex) -> LogLine? {
        guard let lines = servers[server]?.lines, index > .zero, index.rawValue <= UInt64(lines.count) else {
            return nil
        }
        let line = lines[Int(index.rawValue) - 1]
        return line == .covered ? nil : line
    }
}
