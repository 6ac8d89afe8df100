import FlotillaConsensus
import FlotillaKernel
import FlotillaSimulation
import Testing

/// Networks of which a part does not work, for good: whoever can reach a majority both ways must lead, and stay.
@Suite("Links that are down for good")
struct LinkTests {
    /// Whether one node reaches another, by their numbers.
    private typealias Reach = (_ from: Int, _ to: Int) -> Bool

    /// Ten election timeouts.
    private static let patience: UInt64 = 5_000_000_000

    /// Starts a cluster on all nodes, cuts links, and says what became of its leadership: how many elections there were
    /// after the first ten election timeouts, and whether a leader serves at the end of ten more.
    private func leadership(nodes: Int, seed: UInt64, _ reaches: Reach) -> (serves: Bool, changes: Int) {
        var options = WorldOptions()
        options.nodes = nodes
        options.clusters = [WorldOptions.Cluster(name: "c", machine: "counter", members: Array(0..<nodes))]
        let world = World(Plan(seed: seed, options: options))
        defer { world.finish() }
        world.begin()
        guard world.awaitStart() else { return (false, 0) }
        for from in 0..<nodes {
            for to in 0..<nodes where from != to && !reaches(from, to) { world.network.block(from: from, to: to) }
        }
        // Until those who are cut off have noticed, an old leader may still believe that it leads.
        _ = world.advance(for: Self.patience) { false }
        let before = world.report.elections
        _ = world.advance(for: Self.patience) { false }
        let leads = world.leader(of: 0)?.server.core.readyToServe == true
        return (leads && world.violation == nil, world.report.elections - before)
    }

    private func canLead(nodes: Int, _ reaches: Reach) -> Bool {
        (0..<nodes).contains { hub in
            let both = (0..<nodes).filter { $0 == hub || (reaches(hub, $0) && reaches($0, hub)) }
            return both.count > nodes / 2
        }
    }

    @Test(arguments: 0..<64)
    func `three nodes have one stable leader wherever two reach each other, whatever else is cut`(mask: Int) {
        let links = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
        let reaches: Reach = { from, to in
            links.firstIndex { $0 == (from, to) }.map { mask & (1 << $0) == 0 } ?? true
        }
        let outcome = leadership(nodes: 3, seed: UInt64(mask) + 1, reaches)
        #expect(outcome.serves == canLead(nodes: 3, reaches))
        #expect(outcome.changes <= 2)
    }

    /// Every graph of five nodes, one of each shape.
    static let meshes: [Int] = {
        let pairs = Mesh.pairs
        var seen: Set<Int> = []
        return (0..<(1 << pairs.count)).filter { seen.insert(Mesh.canonical($0)).inserted }
    }()

    @Test(arguments: LinkTests.meshes)
    func `five nodes have one stable leader wherever one reaches two others, whatever else is cut`(mesh: Int) {
        let reaches: Reach = { Mesh.connects(mesh, $0, $1) }
        let outcome = leadership(nodes: 5, seed: UInt64(mesh) + 100, reaches)
        #expect(outcome.serves == canLead(nodes: 5, reaches))
        #expect(outcome.changes <= 2)
    }
}

/// Undirected graphs of five nodes, as the bits of their ten pairs.
enum Mesh {
    static let pairs: [(Int, Int)] = (0..<5).flatMap { left in ((left + 1)..<5).map { (left, $0) } }

    static func connects(_ mesh: Int, _ left: Int, _ right: Int) -> Bool {
        let pair = (min(left, right), max(left, right))
        return pairs.firstIndex { $0 == pair }.map { mesh & (1 << $0) != 0 } ?? true
    }

    /// The smallest number that the graph has under any renaming of its nodes.
    static func canonical(_ mesh: Int) -> Int {
        permutations([0, 1, 2, 3, 4]).map { names in
            pairs.indices.reduce(0) { bits, position in
                let (left, right) = pairs[position]
                return connects(mesh, names[left], names[right]) ? bits | 1 << position : bits
            }
        }.min() ?? mesh
    }

    private static func permutations(_ items: [Int]) -> [[Int]] {
        guard items.count > 1 else { return [items] }
        return items.flatMap { first in permutations(items.filter { $0 != first }).map { [first] + $0 } }
    }
}
