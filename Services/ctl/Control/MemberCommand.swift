import ArgumentParser
import FlotillaClient
import FlotillaMachines
import FlotillaWire

struct MemberCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "member", abstract: "Lists, adds and removes the members of a cluster.",
        subcommands: [List.self, Add.self, Remove.self])

    struct List: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the members as the leader sees them: name, role, matched index, address.")

        @OptionGroup var global: GlobalOptions

        func execute(_ context: ControlContext) async throws {
            let list = try await global.withClient(context) { client in
                try await client.cluster(global.clusterName(), of: Counter.self).members()
            }
            let view = MembersView(list)
            if global.output == .json {
                try context.json(view)
                return
            }
            for member in view.members {
                let mark = member.id == view.leader ? "leader" : "follower"
                context.output.line(
                    "\(member.id)\t\(member.role)\t\(mark)\t\(member.matched)\t\(member.address)")
            }
        }
    }
    struct Add: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds a member, or gives the one that is there another role.",
            discussion: """
                The new member gets the log first and votes as soon as it has it; the command waits for that. With \
                --non-voter it never votes. With --voter it counts for majorities at once.
                """)

        @Argument(help: ArgumentHelp("The member, by its cluster and its node.", valueName: "cluster@node"))
        var member: String
        @Flag(help: "It receives everything and never votes.") var nonVoter = false
        @Flag(help: "It votes at once, log or not.") var voter = false
        @Flag(help: "Do not wait until the change is committed.") var noWait = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            if nonVoter, voter { throw ValidationError("--voter and --non-voter exclude each other") }
            do { _ = try ServerID(member) } catch { throw ValidationError("\(error)") }
        }

        private var role: MemberRole { nonVoter ? .nonVoter : voter ? .voter : .promotable(target: .zero) }

        func execute(_ context: ControlContext) async throws {
            let server = try ServerID(member)
            let changed = try await global.withClient(context) { client in
                let cluster = client.cluster(try ClusterName(server.name), of: Counter.self)
                let changed = try await cluster.addMember(on: server.node, role: role, waiting: !noWait)
                if !nonVoter, !noWait { try await cluster.waitForVote(of: changed.member) }
                return changed
            }
            try context.show(changed, as: global.output)
        }
    }

    struct Remove: ControlCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a member; what is on the disk of its node stays there.")

        @Argument(help: ArgumentHelp("The member, by its cluster and its node.", valueName: "cluster@node"))
        var member: String
        @Flag(help: "Do not wait until the change is committed.") var noWait = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            do { _ = try ServerID(member) } catch { throw ValidationError("\(error)") }
        }

        func execute(_ context: ControlContext) async throws {
            let server = try ServerID(member)
            let changed = try await global.withClient(context) { client in
                try await client.cluster(try ClusterName(server.name), of: Counter.self)
                    .removeMember(server, waiting: !noWait)
            }
            try context.show(changed, as: global.output)
        }
    }
}

extension ControlContext {
    fileprivate func show(_ changed: MemberChanged, as output: OutputFormat) throws {
        if output == .json { try json(MemberChangedView(changed)) } else { self.output.line("ok") }
    }
}
