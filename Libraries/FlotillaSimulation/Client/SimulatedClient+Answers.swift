import FlotillaWire
import NIOCore

/// What comes back to a client.
extension SimulatedClient {
    func received(_ type: FrameType, correlation: UInt64, body: ByteBuffer, on connection: ClientConnection) {
        do {
            switch type {
            case .results, .answers:
                var results: [(UInt64, LogIndex, ByteBuffer)] = []
                let server = try ResultBatch.decode(body) { results.append(($0, $1, $2)) }.server
                for result in results { try answered(result.0, by: server, index: result.1, result.2) }
            case .rejections:
                var reader = WireReader(body)
                rejected(try Rejections(from: &reader))
            default:
                if let response = try ClientResponse.decode(type, body: body) { heard(response, correlation) }
            }
        } catch {
            world.fail(.client, "client \(number) can't read what it is sent: \(error)")
        }
    }

    private func answered(
        _ correlation: UInt64, by server: ServerUID, index: LogIndex, _ bytes: ByteBuffer
    ) throws(WireError) {
        guard let attempt = open.removeValue(forKey: correlation), !attempt.isOver else { return }
        let answer = try attempt.work.answer(in: bytes, index: index)
        attempt.answered(answer, index: index, at: world.scheduler.now)
        close(attempt)
        world.drawer.learn(attempt.work, answer, cluster: attempt.cluster)
        world.answered(attempt, index: index)
        if attempt.work.isQuery, server != routes[cluster]?.leader { world.report.followerReads += 1 }
        if round.allSatisfy(\.isOver) { endRound() }
    }

    private func rejected(_ rejections: Rejections) {
        let code = rejections.error.code
        var isConcerned = false
        for correlation in rejections.correlations {
            guard let attempt = open.removeValue(forKey: correlation), !attempt.isOver else { continue }
            isConcerned = true
            world.rejected(attempt, rejections.error)
            if code == .replyGone {
                world.fail(.client, "the reply to \(attempt.work) is gone, which its client waits for")
            }
            // Of a command without a session, nothing better will ever be heard.
            if code == .outcomeUnknown, attempt.place == nil { continue }
            if code != .outcomeUnknown { attempt.copies -= 1 }
            if code == .sessionExpired { expired(attempt) }
            if attempt.copies == 0 || open.values.allSatisfy({ $0 !== attempt }) { attempt.correlation = nil }
        }
        guard isConcerned else { return }
        if round.allSatisfy(\.isOver) { return endRound() }
        if code != .sessionExpired { redirect(rejections.error) }
        pursueSoon()
    }

    func redirect(_ error: FlotillaError) {
        guard let leader = error.leader, let route = routes[cluster],
            let member = route.members.first(where: { world.computers[$0.node].name == leader.node })
        else { return routes[cluster] = nil }
        routes[cluster]?.leader = member.uid
    }

    private func heard(_ response: ClientResponse, _ correlation: UInt64) {
        if opening?.correlation == correlation { return sessionAnswered(response) }
        guard let asked = locating, asked.correlation == correlation else { return }
        locating = nil
        guard case .located(let located) = response, let leader = located.leader else { return pursueSoon() }
        let members = located.configuration.members.compactMap { member in
            world.computers.first { $0.name == member.id.node }.map { (uid: member.uid, node: $0.number) }
        }
        routes[cluster] = Route(cluster: located.cluster, leader: leader, members: members)
        if members.contains(where: { $0.uid == leader }) { pursue() } else { pursueSoon() }
    }

    func ended(_ connection: ClientConnection) {
        if connections[connection.node] === connection { connections[connection.node] = nil }
        if locating?.node == connection.node {
            locating = nil
            pursueSoon()
        }
        if opening?.node == connection.node { sessionAnswered(nil) }
        guard sentTo == connection.node, !open.isEmpty else { return }
        for correlation in open.keys.sorted() {
            guard let attempt = open.removeValue(forKey: correlation), !attempt.isOver else { continue }
            if attempt.work.isQuery || attempt.place != nil {
                attempt.correlation = nil
            } else if !connection.isReady {
                attempt.correlation = nil
                attempt.copies = 0
            } else {
                // It may have been taken in: nobody will ever say.
                attempt.givenUp()
                world.givenUp(attempt)
            }
        }
        routes[cluster] = nil
        if round.allSatisfy(\.isOver) { endRound() } else { pursueSoon() }
    }
}
