import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// What is done now and then, whether anything has happened or not.
extension Kernel {
    /// How often the kernel looks after itself.
    private static let interval = Duration.milliseconds(25)

    func keepHouse() {
        // Much later than planned means that this process was stopped, or the machine asleep: the silence of the
        // others is then our own, and what they sent meanwhile has not been read yet.
        let wasStopped = now > nextHousekeeping + .milliseconds(400)
        nextHousekeeping = now + Self.interval
        watchDisk(wasStopped: wasStopped)
        watchPeers(wasStopped: wasStopped)
        dialWhoIsMissing()
        watchSetAside()
        watchStarts()
        watchWaiters()
        watchDeletions()
        watchReads()
        watchStrangers()
        replaceLostMembers()
        watchTransfers()
        retryWrites()
        readAgain()
        watchRepairs()
        relieveMemory()
        if nextRecording <= now {
            nextRecording = now + .seconds(1)
            recordApplied()
            watchSessions()
            tickMachines()
        }
    }

    /// Notes how far each server has applied, so that a restart applies that far at once and issues no effect twice.
    /// Never beyond what is durable here.
    private func recordApplied() {
        for case let server? in servers {
            let applied = min(server.applied, server.core.durableIndex)
            guard applied > server.recordedApplied else { continue }
            server.recordedApplied = applied
            output.records.append(.lastApplied(server.uid, applied))
        }
    }

    /// Prepares for the end: nothing more is dialled or taken in, and the last positions are noted.
    public func stop() {
        isStopping = true
        recordApplied()
    }

    /// Tells the other nodes that this one is gone; the last that is sent to them.
    public func sayGoodbye() {
        for peer in peers { send(.goodbye, to: peer) }
    }
}
