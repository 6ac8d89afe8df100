import FlotillaWire
import NIOCore

extension FlotillaClient {
    /// Deletes a whole cluster with all that it holds, and returns once that is committed. It can't be taken back.
    ///
    /// Members on nodes that are up are gone by then, in most cases; those on nodes that are down delete themselves when
    /// they come back and hear of it. A cluster of the same name may be started at once; it is another one. The call
    /// may be repeated: whoever leads is asked until the deadline, and a cluster that is gone after it was asked
    /// counts as deleted.
    ///
    /// - Throws: `FlotillaError` with
    ///   - `unknownCluster` when no node that is connected hosts a member, and this call has not asked for a deletion;
    ///   - `noLeader`, `transferring` or `unreachable` when nobody could be asked before the deadline: nothing was deleted;
    ///   - `timeout` when somebody was asked and the end was not known in time: it may still come, or not.
    public func deleteCluster(_ name: ClusterName, timeout: Duration? = nil) async throws {
        var attempt = Deletion(name: name, deadline: deadline(timeout))
        while try await !tryToDelete(&attempt) { try await pause(before: attempt.deadline) }
    }

    /// What has become of the attempts to delete a cluster.
    private struct Deletion {
        let name: ClusterName
        let deadline: NIODeadline
        /// The cluster that is meant, as it was found: another of the same name may be started when it is gone.
        var found: Located?
        /// Whether it may have been deleted, or may be yet, because of an attempt.
        var mayHappen = false

        /// What is thrown when there is no time left.
        func expired(_ error: FlotillaError) -> FlotillaError {
            // Only whoever has found a leader may have asked one.
            guard mayHappen else {
                return error.code == .timeout ? FlotillaError(.noLeader, error.message, leader: error.leader) : error
            }
            return FlotillaError(.timeout, "whether cluster \(name) is deleted is not known: \(error.message)")
        }
    }

    /// Asks whoever leads once.
    ///
    /// - Returns: whether the cluster is gone.
    private func tryToDelete(_ attempt: inout Deletion) async throws(FlotillaError) -> Bool {
        let deadline = attempt.deadline
        do throws(FlotillaError) {
            if attempt.mayHappen, let found = attempt.found, await isGone(found, attempt) { return true }
            // Where it may be gone, a leader is not waited for till the end.
            let patience = attempt.mayHappen ? min(deadline, .now() + Self.searchTime) : deadline
            let located: Located = try await onLoop { [name = attempt.name] core, complete in
                core.waitForLeader(of: name, deadline: patience, complete: complete)
            }
            if let meant = attempt.found?.cluster, meant != located.cluster { return true }
            attempt.found = located
            guard let leader = located.leader, let member = located.configuration.member(leader) else {
                throw FlotillaError(.noLeader, "the leader of \(attempt.name) is no member of it")
            }
            return try await askToDelete(&attempt, leader, at: member.address)
        } catch {
            if attempt.mayHappen, error.code == .unknownCluster || error.code == .deleted { return true }
            guard error.isWorthRepeating || error.code == .timeout, deadline > .now() else {
                throw attempt.expired(error)
            }
            return false
        }
    }

    /// How long one question takes at most where it is not known whether there is a cluster still.
    private static let searchTime = TimeAmount.seconds(1)

    /// Whether a majority of the members' nodes say that they host none of the cluster any more. One alone may have lost
    /// its disk.
    private func isGone(_ found: Located, _ attempt: Deletion) async -> Bool {
        let addresses = found.configuration.members.map(\.address)
        let deadline = min(attempt.deadline, .now() + Self.searchTime)
        let request = ClientRequest.locate(cluster: attempt.name, waits: false, timeoutMilliseconds: 0)
        let gone = await withTaskGroup(of: Bool.self) { group in
            for address in addresses {
                group.addTask {
                    do throws(FlotillaError) {
                        guard case .located(let other) = try await self.send(request, to: address, deadline) else {
                            return false
                        }
                        return other.cluster != found.cluster
                    } catch {
                        return error.code == .unknownCluster
                    }
                }
            }
            return await group.reduce(0) { $1 ? $0 + 1 : $0 }
        }
        return gone > addresses.count / 2
    }

    private func askToDelete(
        _ attempt: inout Deletion, _ leader: ServerUID, at address: NodeAddress
    ) async throws(FlotillaError) -> Bool {
        do throws(FlotillaError) {
            let request = ClientRequest.deleteCluster(
                leader, timeoutMilliseconds: attempt.deadline.millisecondsLeft)
            let response = try await send(request, to: address, attempt.deadline)
            guard case .done = response else { throw response.unexpected }
            return true
        } catch {
            switch error.code {
            case .timeout, .outcomeUnknown: attempt.mayHappen = true
            default: break
            }
            eventLoop.execute { [core, name = attempt.name] in
                core.value.forgetLeader(leader, of: name, hint: error.leader)
            }
            throw error
        }
    }
}
