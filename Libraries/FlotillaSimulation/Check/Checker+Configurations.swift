import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Holds the configurations that servers go by against their logs, and changes of them against their conditions (Ongaro
/// 2014, chapter 4, and raft-dev, July 2015).
extension Checker {
    func checkConfiguration(of server: HostedServer, before: LogIndex) throws(Violation) {
        let index = server.core.configurationIndex
        guard index > .zero else { return }
        guard isConfiguration(server, at: index) else {
            throw Violation(
                .invariant,
                "the configuration of \(index) is in force, where the log has something else: \(server.core)")
        }
        guard server.core.role == .leader, index != before, server.core.logTerms.term(at: index) == server.core.term
        else { return }
        guard server.core.readyToServe else {
            throw Violation(
                .invariant, "the members are changed before an entry of the term is committed: \(server.core)")
        }
        guard before <= server.core.commitIndex else {
            throw Violation(
                .invariant, "the members are changed while the change at \(before) is not committed: \(server.core)")
        }
    }

    private func isConfiguration(_ server: HostedServer, at index: LogIndex) -> Bool {
        guard server.table.contains(index) else { return true }
        guard let slice = server.table.slices(from: index, through: index).first else { return false }
        return slice.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.flatMap { EntryHeader.loadTrusted(from: $0) }?.kind == .configuration
        }
    }
}
