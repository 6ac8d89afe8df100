import ArgumentParser
import FlotillaClient
import FlotillaWire

struct DeleteClusterCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes a whole cluster with all that it holds.",
        discussion: """
            It can't be taken back. Members on nodes that are down delete themselves when they come back. Exits with 1 \
            when there is no such cluster, with 3 when it may be deleted or not, and with 4 when nobody could be asked.
            """)

    @Argument(help: "The cluster's name.") var name: String
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        do { _ = try ClusterName(name) } catch { throw ValidationError("\(error)") }
    }

    func execute(_ context: ControlContext) async throws {
        let cluster = try ClusterName(name)
        try await global.withClient(context) { client in
            do { try await client.deleteCluster(cluster) } catch let error as FlotillaError where error.code == .timeout
            {
                // Elsewhere a deadline that has passed means that nothing was done.
                throw ControlFailure(ControlFailure.unknown, error.description)
            }
        }
        if global.output == .json {
            try context.json(["deleted": cluster.description])
        } else {
            context.output.line("deleted \(cluster)")
        }
    }
}
