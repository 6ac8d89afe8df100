import ArgumentParser
import FlotillaClient
import FlotillaWire

struct OverviewCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "overview", abstract: "Prints everything that a node counts and knows.")

    @Option(help: ArgumentHelp("Which node; the first that answers by default.", valueName: "n1")) var node: String?
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let name = try node.map { try NodeName($0) }
        let overview = try await global.withClient(context) { try await $0.overview(of: name) }
        if global.output == .json {
            try context.json(OverviewView(overview))
            return
        }
        for line in Self.lines(overview) { context.output.line(line) }
    }

    static func lines(_ overview: NodeOverview) -> [String] {
        var lines = ["node \(overview.node.name) at \(overview.node.address), incarnation \(overview.node.incarnation)"]
        lines += overview.values.map { "  \($0.name) \($0.value)" }
        for peer in overview.peers {
            lines.append("peer \(peer.name) at \(peer.address) \(peer.isUp ? "up" : "down")")
            lines += peer.values.map { "  \($0.name) \($0.value)" }
        }
        for server in overview.servers {
            lines.append("server \(server.id) \(server.state), machine \(server.machine), leader \(server.leader.text)")
            if !server.note.isEmpty { lines.append("  note: \(server.note)") }
            lines += server.values.map { "  \($0.name) \($0.value)" }
        }
        return lines
    }
}
