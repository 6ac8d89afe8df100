import FlotillaConsensus
import FlotillaMachine
import FlotillaMachines
import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// Some kernels in one thread, joined by connections without delay, on disks that obey at once or when told to, with
/// a clock that only moves when a test moves it.
final class KernelFleet {
    /// One node: a kernel, and the disk and the connections around it.
    final class Node {
        let name: NodeName
        var id: NodeID
        let address: NodeAddress
        var kernel: Kernel
        var isRunning = true
        var incarnation = Incarnation(1)
        /// Whether what is written becomes durable by itself.
        var hasPromptDisk = true
        var unsynced: [WALRecord] = []
        var log: [WALRecord] = []
        var status = WALStatus()
        var wires: [LinkID: Wire] = [:]
        /// What its kernel wants to have done in the background.
        var jobs: [StorageJob] = []
        var calls: [HandlerCall] = []
        /// What its kernel has said.
        var events: [KernelEvent] = []
        /// Why it wants to end, if it does.
        var failure: StorageError?
        /// The types of all frames that it has sent to other nodes.
        var sentToPeers: [FrameType] = []

        init(name: NodeName, id: NodeID, address: NodeAddress, kernel: Kernel) {
            self.name = name
            self.id = id
            self.address = address
            self.kernel = kernel
        }
    }

    /// Where a connection leads.
    enum End {
        case node(Node, LinkID)
        case client(TestClient)
    }

    /// One direction of a connection.
    final class Wire {
        let to: End
        var bytes = ByteBuffer()
        init(to: End) { self.to = to }
    }

    var nodes: [Node] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    var configuration = KernelConfiguration()
    let machines: MachineRegistry
    /// The machines of single nodes, by their names, where they differ.
    var machinesOfNodes: [NodeName: MachineRegistry] = [:]
    /// Pairs of nodes that can't reach each other.
    private var cuts: Set<Set<NodeName>> = []

    init(_ count: Int, machines: MachineRegistry = .shipped, configuration: KernelConfiguration = .init()) throws {
        self.machines = machines
        self.configuration = configuration
        for number in 1...count {
            let name = try NodeName("n\(number)")
            let id = NodeID(high: 7, low: UInt64(number))
            let address = NodeAddress(host: "host", port: UInt16(number))
            let kernel = try makeKernel(
                Hello.Node(id: id, name: name, incarnation: Incarnation(1), address: address),
                RecoveredNode(nodeID: id), count)
            nodes.append(Node(name: name, id: id, address: address, kernel: kernel))
        }
    }

    func makeKernel(_ identity: Hello.Node, _ recovered: RecoveredNode, _ count: Int) throws -> Kernel {
        let seeds = try (1...count).map { number in
            (name: try NodeName("n\(number)"), address: NodeAddress(host: "host", port: UInt16(number)))
        }
        return Kernel(
            identity: identity, configuration: configuration,
            registry: machinesOfNodes[identity.name] ?? machines, seeds: seeds,
            recovered: recovered, seed: identity.id.low &* 31 &+ identity.incarnation.rawValue, now: now, wallClock: 1)
    }

    subscript(_ number: Int) -> Node { nodes[number - 1] }

    // MARK: Time

    /// Lets everything happen that happens at once.
    func settle() {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for node in nodes where node.isRunning { if turn(node) { isQuiet = false } }
            for node in nodes where node.isRunning { if deliver(from: node) { isQuiet = false } }
        }
    }

    /// Moves the clock in small steps, letting everything happen that is due.
    func run(milliseconds: Int) {
        settle()
        for _ in 0..<(milliseconds / 5) {
            now = now + .milliseconds(5)
            for node in nodes where node.isRunning {
                node.kernel.setTime(now, wallClock: now.nanoseconds)
                node.kernel.advance()
            }
            settle()
        }
    }

    /// Runs until something holds, at most so long.
    func run(atMost milliseconds: Int = 10_000, until holds: () -> Bool) -> Bool {
        for _ in 0..<(milliseconds / 5) {
            if holds() { return true }
            run(milliseconds: 5)
        }
        return holds()
    }

    private func turn(_ node: Node) -> Bool {
        let more = node.kernel.endTurn()
        let output = node.kernel.output
        node.kernel.output = Kernel.Output()
        node.events += output.events
        if let failure = output.failure { node.failure = failure }
        node.jobs += output.jobs
        node.calls += output.calls
        if !output.records.isEmpty { write(output.records, on: node) }
        for link in output.links { send(link, from: node) }
        for dial in output.dials { connect(dial, from: node) }
        return more || !output.records.isEmpty || !output.links.isEmpty || !output.dials.isEmpty
    }

    // MARK: Disk

    private func write(_ records: [WALRecord], on node: Node) {
        node.unsynced += records
        if node.hasPromptDisk { sync(node) }
    }

    /// Makes everything durable that was written.
    func sync(_ node: Node) {
        let records = node.unsynced
        node.unsynced = []
        node.log += records
        let notices = records.compactMap { record -> DurableNotice? in
            switch record {
            case .entries(let entries):
                .entries(entries.uid, epoch: entries.epoch, through: entries.last, term: entries.lastTerm)
            case .hardState(let uid, let state): .hardState(uid, state)
            case .serverCreated(let creation): .serverCreated(creation.uid)
            case .snapshotFloor(let uid, let index, _): .snapshotFloor(uid, index)
            case .serverDeleted(let uid, _, _, _): .serverDeleted(uid)
            case .truncated, .lastApplied, .peer, .filesReleased, .serverLost, .logEnd: nil
            }
        }
        node.status.settled += UInt64(records.count)
        if !records.isEmpty { node.status.batches += 1 }
        node.kernel.walCompleted(notices, status: node.status)
    }

    // MARK: Connections

    private func connect(_ dial: Kernel.Dial, from node: Node) {
        guard let target = nodes.first(where: { $0.address == dial.address }), target.isRunning,
            !cuts.contains([node.name, target.name])
        else { return node.kernel.connectFailed(dial) }
        let near = node.kernel.connected(dial)
        let far = target.kernel.accepted()
        node.wires[near.id] = Wire(to: .node(target, far.id))
        target.wires[far.id] = Wire(to: .node(node, near.id))
    }

    func connect(_ client: TestClient, to node: Node) {
        let link = node.kernel.accepted()
        client.link = link.id
        node.wires[link.id] = Wire(to: .client(client))
    }

    private func send(_ link: Link, from node: Node) {
        guard let wire = node.wires[link.id] else { return link.drain { _ in } }
        link.drain { wire.bytes.writeImmutableBuffer($0) }
        if link.closesAfterFlush {
            _ = deliver(wire, from: node)
            close(link.id, of: node)
        }
    }

    private func deliver(from node: Node) -> Bool {
        var delivered = false
        for (_, wire) in node.wires.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if deliver(wire, from: node) { delivered = true }
        }
        return delivered
    }

    private func deliver(_ wire: Wire, from node: Node) -> Bool {
        guard wire.bytes.readableBytes > 0 else { return false }
        var bytes = wire.bytes
        wire.bytes = ByteBuffer()
        switch wire.to {
        case .client(let client): client.take(&bytes)
        case .node(let target, let link):
            note(bytes, from: node)
            do { try target.kernel.receive(&bytes, on: link) } catch { Issue.record("\(error)") }
            #expect(bytes.readableBytes == 0, "a kernel left whole frames behind")
        }
        return true
    }

    private func note(_ bytes: ByteBuffer, from node: Node) {
        var rest = bytes
        while let length: UInt32 = rest.getInteger(at: rest.readerIndex, endianness: .little),
            let type = rest.getInteger(at: rest.readerIndex + 4, as: UInt8.self).flatMap(FrameType.init)
        {
            node.sentToPeers.append(type)
            rest.moveReaderIndex(forwardBy: Int(length) + 4)
        }
    }

    func close(_ link: LinkID, of node: Node) {
        guard let wire = node.wires.removeValue(forKey: link) else { return }
        node.kernel.closed(link, reason: "closed")
        if case .node(let target, let far) = wire.to {
            target.wires[far] = nil
            target.kernel.closed(far, reason: "closed")
        }
    }

    // MARK: Faults

    /// Ends a node at once: its connections break, what it had not synced is gone.
    func kill(_ node: Node) {
        node.isRunning = false
        node.unsynced = []
        for link in node.wires.keys.sorted(by: { $0.rawValue < $1.rawValue }) { close(link, of: node) }
    }

    /// Separates two nodes.
    func cut(_ left: Node, _ right: Node) {
        cuts.insert([left.name, right.name])
        for (link, wire) in left.wires.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if case .node(let target, _) = wire.to, target === right { close(link, of: left) }
        }
    }

    /// Lets all nodes reach each other again.
    func heal() { cuts.removeAll() }

    // MARK: Clusters

    /// Connects a client to a node.
    func client(of node: Node) -> TestClient {
        let client = TestClient(fleet: self, node: node)
        connect(client, to: node)
        client.hello()
        return client
    }

    /// Starts a cluster on some nodes and returns once it has a leader.
    @discardableResult
    func start(_ name: String, machine: String = "counter", on numbers: [Int]) throws -> ClusterStarted {
        run(milliseconds: 50)
        let client = client(of: self[numbers[0]])
        let response = try client.start(name, machine: machine, on: numbers.map { "n\($0)" })
        guard case .clusterStarted(let started) = response else {
            throw FlotillaError(.internalError, "no start: \(String(describing: response))")
        }
        settle()
        return started
    }

    /// The server of a cluster on a node.
    func server(_ cluster: String, on number: Int) -> HostedServer? {
        (try? ClusterName(cluster)).flatMap { self[number].kernel.serversByName[$0] }
    }

    /// The number of the node that leads a cluster.
    func leader(of cluster: String) -> Int? {
        nodes.indices.map { $0 + 1 }.first {
            self[$0].isRunning && server(cluster, on: $0)?.core.role == .leader
        }
    }
}
