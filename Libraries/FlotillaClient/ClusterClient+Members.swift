import FlotillaMachine
import FlotillaWire
import NIOCore

extension ClusterClient {
    /// The members as the leader sees them.
    public func members(timeout: Duration? = nil) async throws -> MemberList {
        let response = try await askLeader(client.deadline(timeout)) { .members($0) }
        guard case .memberList(let list) = response else { throw response.unexpected }
        return list
    }

    /// Where the cluster is, and who leads it: the freshest of the answers of all nodes that are connected.
    ///
    /// - Parameter waiting: whether to wait until a leader is known.
    /// - Throws: `FlotillaError` with `noLeader` when none became known before the deadline, and with
    ///   `unknownCluster` when no node that is connected hosts a member.
    public func location(waiting: Bool = false, timeout: Duration? = nil) async throws -> Located {
        let deadline = client.deadline(timeout)
        var last: FlotillaError?
        repeat {
            let answers = try await askAll(waiting: waiting, deadline)
            // One good answer is enough; the errors count only when there is none.
            let located = answers.compactMap { try? $0.get() }
            let best = located.max { left, right in
                left.leader == nil ? right.leader != nil || left.term < right.term : left.term < right.term
            }
            if let best, best.leader != nil || !waiting { return best }
            for case .failure(let error) in answers { last = error }
            if located.isEmpty, let last, last.code == .unknownCluster { throw last }
            try await client.pause(before: deadline)
        } while deadline > .now()
        throw last ?? FlotillaError(.noLeader, "no leader of \(name) was known before the deadline")
    }

    /// Who leads.
    ///
    /// - Parameter waiting: whether to wait until a leader is known.
    /// - Returns: `nil` when no leader is known at the moment.
    /// - Throws: as `location(waiting:timeout:)`.
    public func leader(waiting: Bool = false, timeout: Duration? = nil) async throws -> ServerID? {
        let located = try await location(waiting: waiting, timeout: timeout)
        return located.leader.flatMap { located.configuration.member($0)?.id }
    }

    /// Hands leadership over to the member on another node, and returns once that one leads.
    ///
    /// - Throws: `FlotillaError`, among others with `unknownMember`, `nonVoter`, `notUpToDate`; with `outcomeUnknown`
    ///   when the connection was lost meanwhile.
    public func transferLeadership(to node: NodeName, timeout: Duration? = nil) async throws {
        let deadline = client.deadline(timeout)
        let response = try await askLeader(deadline, once: true) { leader in
            .transferLeadership(leader, to: node, timeoutMilliseconds: deadline.millisecondsLeft)
        }
        guard case .done = response else { throw response.unexpected }
    }

    /// Makes the member on a node start an election, if it may; says nothing about who wins it.
    public func triggerElection(on node: NodeName, timeout: Duration? = nil) async throws {
        let deadline = client.deadline(timeout)
        let member = try await member(on: node, timeout: timeout)
        let response = try await client.send(.triggerElection(member.uid), to: member.address, deadline)
        guard case .done = response else { throw response.unexpected }
    }

    /// Has a member take a snapshot of its machine as it is now; its log before that can go then.
    ///
    /// - Parameter node: the member's node; the leader's by default.
    /// - Throws: `unsupported` when the machine can't be written down.
    public func takeSnapshot(on node: NodeName? = nil, timeout: Duration? = nil) async throws {
        let deadline = client.deadline(timeout)
        let response: ClientResponse
        if let node {
            let member = try await member(on: node, timeout: timeout)
            response = try await client.send(
                .takeSnapshot(member.uid, timeoutMilliseconds: deadline.millisecondsLeft), to: member.address, deadline)
        } else {
            response = try await askLeader(deadline) { leader in
                .takeSnapshot(leader, timeoutMilliseconds: deadline.millisecondsLeft)
            }
        }
        guard case .done = response else { throw response.unexpected }
    }

    /// Adds a member on a node, or gives the one that is there another role.
    ///
    /// A promotable member becomes a voter by itself once it has the log; that is the safe way to add one. A voter counts
    /// for majorities at once, so its node must be connected.
    ///
    /// - Parameter waiting: whether to wait until the change is committed, and not only in the leader's log.
    /// - Throws: `FlotillaError`, among others with `alreadyMember`, with `clusterChangeNotPermitted` while another change
    ///   is not committed, with `unreachable` for a node of which the leader's has never heard, and with `outcomeUnknown`
    ///   when the change is in the log and nobody can say what becomes of it.
    @discardableResult
    public func addMember(
        on node: NodeName, role: MemberRole = .promotable(target: .zero), waiting: Bool = true,
        timeout: Duration? = nil
    ) async throws -> MemberChanged {
        try await change(.add(on: node, role), waiting: waiting, timeout: timeout)
    }

    /// Removes a member. A leader that removes itself leads on until that is committed. What is on the disk of the member's
    /// node stays there.
    ///
    /// - Parameter waiting: whether to wait until the change is committed, and not only in the leader's log.
    /// - Throws: `FlotillaError`, among others with `unknownMember`, with `clusterChangeNotPermitted` while another change
    ///   is not committed, and with `outcomeUnknown` when the change is in the log and nobody can say what becomes of it.
    @discardableResult
    public func removeMember(
        _ server: ServerID, waiting: Bool = true, timeout: Duration? = nil
    ) async throws -> MemberChanged {
        try await change(.remove(server), waiting: waiting, timeout: timeout)
    }

    /// Waits until a member that was added as promotable votes.
    ///
    /// - Parameter member: the identity that `addMember` gave.
    /// - Throws: `FlotillaError` with `notUpToDate` when it has not caught up before the deadline, which it may later, and
    ///   with `unknownMember` when it is no member any more.
    public func waitForVote(of member: ServerUID, timeout: Duration? = nil) async throws {
        let deadline = client.deadline(timeout)
        while true {
            let response = try await askLeader(deadline) { .members($0) }
            guard case .memberList(let list) = response else { throw response.unexpected }
            guard let found = list.configuration.member(member) else {
                throw FlotillaError(.unknownMember, "\(member) is no member of \(name)")
            }
            if found.isVoter { return }
            guard deadline > .now() else {
                throw FlotillaError(.notUpToDate, "\(found.id) is a member of \(name), but has not caught up yet")
            }
            try await client.pause(before: deadline)
        }
    }

    private func change(_ change: MemberChange, waiting: Bool, timeout: Duration?) async throws -> MemberChanged {
        let deadline = client.deadline(timeout)
        let response = try await askLeader(deadline, once: true) { leader in
            .changeMembers(leader, change, waits: waiting, timeoutMilliseconds: deadline.millisecondsLeft)
        }
        guard case .memberChanged(let changed) = response else { throw response.unexpected }
        return changed
    }

    func member(on node: NodeName, timeout: Duration?) async throws -> Member {
        let located = try await location(timeout: timeout)
        guard let member = located.configuration.members.first(where: { $0.id.node == node }) else {
            throw FlotillaError(.unknownMember, "cluster \(name) has no member on node \(node)")
        }
        return member
    }

    /// Asks all connected nodes where the cluster is. Whoever names a leader first is enough when waiting.
    private func askAll(
        waiting: Bool, _ deadline: NIODeadline
    ) async throws -> [Result<Located, FlotillaError>] {
        let nodes = try await client.connectedNodes(deadline)
        let request = ClientRequest.locate(
            cluster: name, waits: waiting, timeoutMilliseconds: deadline.millisecondsLeft)
        return await withTaskGroup(of: Result<Located, FlotillaError>.self) { group in
            for (address, _) in nodes {
                group.addTask { await locate(request, at: address, deadline) }
            }
            var answers: [Result<Located, FlotillaError>] = []
            for await answer in group {
                answers.append(answer)
                if waiting, case .success(let located) = answer, located.leader != nil { break }
            }
            return answers
        }
    }

    private func locate(
        _ request: ClientRequest, at address: NodeAddress, _ deadline: NIODeadline
    ) async -> Result<Located, FlotillaError> {
        do throws(FlotillaError) {
            let response = try await client.send(request, to: address, deadline)
            guard case .located(let located) = response else { throw response.unexpected }
            return .success(located)
        } catch {
            return .failure(error)
        }
    }

    /// Asks whoever leads, and again when another does.
    ///
    /// - Parameter once: whether the request may not be repeated after it may have been carried out.
    func askLeader(
        _ deadline: NIODeadline, once: Bool = false, _ request: @Sendable (ServerUID) -> ClientRequest
    ) async throws -> ClientResponse {
        while true {
            let located: Located = try await client.onLoop { [name] core, complete in
                core.waitForLeader(of: name, deadline: deadline, complete: complete)
            }
            guard let leader = located.leader, let member = located.configuration.member(leader) else {
                throw FlotillaError(.noLeader, "the leader of \(name) is no member of it")
            }
            do {
                return try await client.send(request(leader), to: member.address, deadline)
            } catch {
                if once, error.code == .outcomeUnknown || error.code == .timeout {
                    throw FlotillaError(.outcomeUnknown, "the request may be carried out or not: \(error.message)")
                }
                guard error.isWorthRepeating, deadline > .now() else { throw error }
                forget(leader, hint: error.leader)
                try await client.pause(before: deadline)
            }
        }
    }

    private func forget(_ leader: ServerUID, hint: ServerID?) {
        client.eventLoop.execute { [core = client.core, name] in
            core.value.forgetLeader(leader, of: name, hint: hint)
        }
    }
}
