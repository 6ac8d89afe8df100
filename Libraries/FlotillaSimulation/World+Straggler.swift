import FlotillaConsensus
import FlotillaKernel
import FlotillaWire

/// The time in which one node is still in trouble and everything else is well.
///
/// While many things are broken at once nobody can say what should still work. Here it is known: every cluster that has
/// a majority without that node must serve, whatever the matter is with it, and must notice by itself.
extension World {
    /// Lets the straggler have its trouble until all others serve without it.
    ///
    /// - Returns: whether they did in time.
    func serveWithoutStraggler() -> Bool {
        guard let straggler = plan.options.straggler, let number = number(of: straggler.target) else { return true }
        let clusters = plan.options.clusters.indices.filter { canServe($0, without: number) }
        guard !clusters.isEmpty else { return true }
        note("n\(number + 1) \(straggler.trouble.rawValue)")
        begin(straggler.trouble, of: computers[number])
        // An operator who does not know of it may well choose it as the next leader; that must come to nothing.
        for cluster in clusters { _ = transfer(cluster, to: number) }
        // Where nothing is written nobody can tell that a disk does nothing, and nobody needs to.
        if straggler.trouble == .hasStalledDisk {
            for cluster in clusters {
                ask(drawer.lastWrite(to: plan.options.clusters[cluster].machine), of: cluster) {}
            }
        }
        defer { end(straggler.trouble, of: computers[number]) }
        // What was so before must not count: first the others must have had the time to notice.
        _ = advance(for: Self.noticeLimit) { false }
        return advance(for: Self.healLimit) { clusters.allSatisfy { self.serves($0, without: number) } }
    }

    /// How long it may take until the others notice that a node is in trouble.
    private static var noticeLimit: UInt64 { 8_000_000_000 }

    private func number(of target: Fault.Target) -> Int? {
        switch target {
        case .node(let number): number
        case .leader(let cluster): leader(of: cluster)?.host
        }
    }

    private func canServe(_ cluster: Int, without number: Int) -> Bool {
        guard let leader = leader(of: cluster)?.server else { return false }
        return [leader.core.configuration, leader.core.committedConfiguration].allSatisfy {
            hasGoodMajority($0, without: number)
        }
    }

    private func begin(_ trouble: Straggler.Trouble, of computer: Computer) {
        switch trouble {
        case .isOff: computer.losePower()
        case .isPaused: computer.pause()
        case .hasStalledDisk: computer.disk.standStill()
        case .isCutOff, .hearsNobody, .isHeardByNobody:
            for (from, to) in directions(trouble, of: computer) { network.block(from: from, to: to) }
        }
    }

    private func end(_ trouble: Straggler.Trouble, of computer: Computer) {
        switch trouble {
        case .isOff: computer.restorePower()
        case .isPaused: computer.resume()
        case .hasStalledDisk: computer.disk.goOn()
        case .isCutOff, .hearsNobody, .isHeardByNobody:
            for (from, to) in directions(trouble, of: computer) { network.unblock(from: from, to: to) }
        }
    }

    private func directions(_ trouble: Straggler.Trouble, of computer: Computer) -> [(Int, Int)] {
        let others = computers.map(\.number).filter { $0 != computer.number }
        let away = trouble == .hearsNobody ? [] : others.map { (computer.number, $0) }
        let back = trouble == .isHeardByNobody ? [] : others.map { ($0, computer.number) }
        return away + back
    }
}
