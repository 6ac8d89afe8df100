import ArgumentParser
import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire

struct ClusterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Starts, lists and deletes clusters.",
        subcommands: [Start.self, List.self, DeleteClusterCommand.self])

    struct Start: ControlCommand {
        static let configuration = CommandConfiguration(abstract: "Starts a cluster and waits until it has a leader.")

        @Argument(help: "The cluster's name.") var name: String
        @Option(help: "The state machine: kv or counter.") var machine = "kv"
        @Option(help: ArgumentHelp("The nodes that are to have a member.", valueName: "n1,n2,n3")) var members: String
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            do { _ = try parsed() } catch { throw ValidationError("\(error)") }
        }

        private func parsed() throws -> (ClusterName, [NodeName]) {
            let nodes = try members.split(separator: ",").map { try NodeName(String($0)) }
            guard Set(nodes).count == nodes.count, !nodes.isEmpty else {
                throw ValidationError("--members '\(members)' names no node or the same one twice")
            }
            return (try ClusterName(name), nodes)
        }

        func execute(_ context: ControlContext) async throws {
            let (name, nodes) = try parsed()
            let started = try await global.withClient(context) { client in
                try await client.startCluster(name, machine: machine, nodes: nodes)
            }
            if global.output == .json {
                try context.json(StartedView(started))
            } else {
                context.output.line(
                    "started \(started.started.map(\.description).joined(separator: " ")), leader \(started.leader)")
            }
            if !started.notStarted.isEmpty {
                let late = started.notStarted.map(\.description).joined(separator: " ")
                context.errors.line("flotilla: not started yet, the others will do it: \(late)")
            }
        }
    }

    struct List: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the clusters of the nodes that are connected: name, machine, leader, members.")

        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let clusters = try await global.withClient(context) { try await $0.clusters() }
            if global.output == .json {
                try context.json(clusters.map { ClusterView($0) })
                return
            }
            for cluster in clusters {
                let members = cluster.members.map(\.description).joined(separator: ",")
                context.output.line("\(cluster.name)\t\(cluster.machine)\t\(cluster.leader.text)\t\(members)")
            }
        }
    }
}

struct LeaderCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "leader", abstract: "Prints the leader as server@node; exits with 4 when none is known.")

    @Flag(help: "Wait until there is a leader.") var wait = false
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let located = try await global.withClient(context) { client in
            try await client.cluster(global.clusterName(), of: Counter.self).location(waiting: wait)
        }
        guard let leader = located.leader.flatMap({ located.configuration.member($0)?.id }) else {
            throw FlotillaError(.noLeader, "no leader of \(global.cluster) is known")
        }
        if global.output == .json {
            try context.json(LeaderView(leader: leader.description, term: located.term.rawValue))
        } else {
            context.output.line(leader.description)
        }
    }
}

struct TransferLeadershipCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer-leadership", abstract: "Hands leadership over to the member on a node.")

    @Argument(help: "The node whose member is to lead.") var node: String
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let name = try NodeName(node)
        let leader = try await global.withClient(context) { client in
            let cluster = client.cluster(try global.clusterName(), of: Counter.self)
            try await cluster.transferLeadership(to: name)
            return ServerID(cluster: cluster.name, node: name)
        }
        if global.output == .json {
            try context.json(["leader": leader.description])
        } else {
            context.output.line(leader.description)
        }
    }
}

struct TriggerElectionCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "trigger-election", abstract: "Makes the member on a node start an election.")

    @Argument(help: "The node whose member is to stand for election.") var node: String
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let name = try NodeName(node)
        try await global.withClient(context) { client in
            try await client.cluster(global.clusterName(), of: Counter.self).triggerElection(on: name)
        }
        if global.output == .json {
            try context.json(["node": name.description])
        } else {
            context.output.line("ok")
        }
    }
}

struct SnapshotCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot", abstract: "Has a member of a cluster take a snapshot now.")

    @Argument(help: "The cluster.") var name: String
    @Option(help: "The node whose member is to take it; the leader's by default.") var node: String?
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let (cluster, node) = (try ClusterName(name), try node.map { try NodeName($0) })
        try await global.withClient(context) { client in
            try await client.cluster(cluster, of: Counter.self).takeSnapshot(on: node)
        }
        if global.output == .json {
            try context.json(["cluster": cluster.description])
        } else {
            context.output.line("ok")
        }
    }
}

extension ServerID? {
    /// The name, or a dash.
    var text: String { self?.description ?? "-" }
}
