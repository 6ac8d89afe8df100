import FlotillaMachine
import FlotillaMachines
import FlotillaWire

/// What the machines of each cluster have become after each entry, by whoever applied it first: state machine safety
/// (Ongaro and Ousterhout 2014, figure 3) says that it is the same on all.
///
/// Sendable without a lock because a world lives on one thread.
package final class ApplyLedger: @unchecked Sendable {
    private struct Line {
        var chain: UInt64
        var term: Term
        var owner: Int
    }

    private var lines: [String: [Line]] = [:]
    /// Is told what is wrong.
    package var fail: (String) -> Void = { _ in }

    package init() {}

    func applied(_ cluster: String, _ index: LogIndex, term: Term, chain: UInt64, by owner: Int) {
        let position = Int(index.rawValue) - 1
        let count = lines[cluster]?.count ?? 0
        if position == count {
            lines[cluster, default: []].append(Line(chain: chain, term: term, owner: owner))
            return
        }
        guard position < count, let first = lines[cluster]?[position] else {
            return fail("node \(owner + 1) applies entry \(index) of \(cluster), where only \(count) were committed")
        }
        guard first.chain != chain else { return }
        fail(
            "the machines of \(cluster) differ after entry \(index): on node \(first.owner + 1) it was of term "
                + "\(first.term), on node \(owner + 1) of term \(term)")
    }

    /// A node has taken over the state after an entry.
    func restored(_ cluster: String, _ index: LogIndex, chain: UInt64, by owner: Int) {
        // Index zero gives a position that no line has.
        let position = Int(truncatingIfNeeded: index.rawValue &- 1)
        guard let lines = lines[cluster], lines.indices.contains(position) else {
            return fail("node \(owner + 1) restores \(cluster) at entry \(index), which nobody has applied")
        }
        guard lines[position].chain != chain else { return }
        fail(
            "the state of \(cluster) that node \(owner + 1) restores at entry \(index) is not the one that node "
                + "\(lines[position].owner + 1) had there")
    }

    /// The machines of a node, each watched.
    /// The machines of a node, which knows that of lists up to a version.
    package func machines(of owner: Int, highest: MachineVersion = 0) -> MachineRegistry {
        var plain = MachineRegistry.shipped
        plain.register(AppendList.self, as: "list")
        var watched = MachineRegistry()
        for name in plain.names {
            let versions = 0...(name == "list" ? highest : 0)
            watched.register(name, versions: versions) { [plain, self] configuration in
                let machine = try plain.makeMachine(named: name, configuration: configuration)
                return AuditedMachine(
                    machine, versions: versions, cluster: configuration.cluster.description, owner: owner,
                    ledger: self)
            }
        }
        return watched
    }
}
