import FlotillaWire
import Logging
import NIOCore

/// Everything of a client that lives on its event loop: connections, routes, open operations. Callers reach it through
/// the `SubmissionQueue` and `execute`; nothing in it suspends.
final class ClientCore {
    /// How often deadlines are looked at while something is open.
    static let sweepInterval = TimeAmount.milliseconds(20)

    let configuration: ClientConfiguration
    let endpoints: [NodeAddress]
    let submissions: SubmissionQueue
    let eventLoop: any EventLoop
    let logger: Logger
    let clientNumber = UInt64.random(in: 1...UInt64.max)

    var counters = ClientCounters()
    var table = SlotTable()
    /// By the number that the submission queue gave them.
    var routes: [Int: (route: ClusterRoute, lane: Int)] = [:]
    /// In the order in which they came into use.
    var clusters: [ClusterRoute] = []
    var pipelines: [Int: PipelineRecord] = [:]
    /// In the order in which they came into use; few.
    var links: [NodeLink] = []
    var isShutDown = false
    /// Who waits until any node is connected.
    var reachableWaiters: [(deadline: NIODeadline, complete: (Result<Void, FlotillaError>) -> Void)] = []

    private var nextConnectionNumber = 1
    private var dirtyPipelines: [PipelineRecord] = []
    private var freedCount = 0
    private var freedBytes = 0
    var sweepScheduled = false
    /// No open operation's deadline is before this time.
    var earliestDeadline = NIODeadline.distantFuture

    init(
        configuration: ClientConfiguration, endpoints: [NodeAddress], submissions: SubmissionQueue,
        eventLoop: any EventLoop
    ) {
        self.configuration = configuration
        self.endpoints = endpoints
        self.submissions = submissions
        self.eventLoop = eventLoop
        logger = configuration.logger
    }

    func makeBackOff() -> BackOff {
        BackOff(
            minimum: configuration.minimumBackOff.timeAmount, maximum: configuration.maximumBackOff.timeAmount)
    }

    func takeConnectionNumber() -> Int {
        defer { nextConnectionNumber += 1 }
        return nextConnectionNumber
    }

    /// What the client knows of a cluster.
    func cluster(_ name: ClusterName) -> ClusterRoute {
        if let cluster = clusters.first(where: { $0.name == name }) { return cluster }
        let refusals = BackOff(minimum: .milliseconds(4), maximum: .milliseconds(200))
        let locates = BackOff(
            minimum: configuration.minimumBackOff.timeAmount,
            maximum: min(configuration.maximumBackOff.timeAmount, .milliseconds(200)))
        let cluster = ClusterRoute(
            name: name, lanes: configuration.connectionsPerNode, backOff: locates, refusalBackOff: refusals)
        clusters.append(cluster)
        return cluster
    }

    /// Takes what callers submitted and writes what can be written.
    func drain() {
        var taken = submissions.take()
        for (number, deliver) in taken.pipelines {
            pipelines[number] = PipelineRecord(number: number, deliver: deliver)
        }
        let isLate = isShutDown && !taken.frames.isEmpty
        // The bytes are patched in place, so nobody else may hold them: they are moved out one by one.
        for position in taken.frames.indices {
            let buffer = taken.frames[position].takeBuffer()
            enqueue(taken.frames[position], buffer)
        }
        if isLate { failEverything() }
        if !taken.isIdle { ensureSweep() }
        for cluster in clusters { flush(cluster) }
    }

    private func enqueue(_ submitted: SubmittedFrame, _ buffer: consuming ByteBuffer) {
        let (cluster, lane) = route(submitted.route)
        let numbers = table.take(submitted.items.count)
        let frame = OutFrame(
            kind: submitted.kind, buffer: buffer, items: submitted.items, slots: numbers,
            wire: table.wireCorrelations(numbers))
        var last: (number: Int, record: PipelineRecord?)?
        let pipelines = pipelines
        table.fill(numbers, with: submitted.items, frame: frame, route: submitted.route) { sink in
            switch sink {
            case .caller(let caller): return .caller(caller)
            case .pipeline(let number):
                // Items of one pipeline come in runs: the dictionary is asked once for each.
                if last?.number != number { last = (number, pipelines[number]) }
                return last?.record.map { .pipeline($0) }
            }
        }
        earliestDeadline = min(earliestDeadline, submitted.items.lazy.map(\.deadline).min() ?? .distantFuture)
        cluster.lanes[lane][frame.kind.rawValue].waiting.append(frame)
    }

    /// The cluster and the lane of a route's number.
    func route(_ number: Int) -> (ClusterRoute, Int) {
        if let known = routes[number] { return known }
        let key = submissions.key(ofRoute: number)
        let made = (route: cluster(key.cluster), lane: key.lane % configuration.connectionsPerNode)
        routes[number] = made
        return made
    }

    // MARK: - The end of an operation

    /// Ends an operation and frees its slot; the room is given back at the end of the turn.
    func finish(_ number: Int, _ outcome: Result<RawResult, any Error>) {
        let slot = table.remove(number)
        freedCount += 1
        freedBytes += slot.length
        if case .queued = slot.state { slot.frame?.abandoned += 1 }
        if slot.serial > 0 { close(slot.serial, of: slot.session, of: route(slot.route).0) }
        switch slot.waiting {
        case .caller(let caller): caller.resume(outcome)
        case .pipeline(let record): notify(record, slot, outcome)
        case nil: break
        }
    }

    /// Nobody waits for a command of a session any more.
    private func close(_ serial: UInt64, of session: UInt64, of cluster: ClusterRoute?) {
        if cluster?.session.current?.id == session { cluster?.session.current?.close(serial) }
    }

    /// Ends an operation of a cluster that was answered.
    func finish(
        _ number: Int, of cluster: ClusterRoute?, answeredWith reply: ByteBuffer, at index: LogIndex,
        _ whole: () -> RawResult
    ) {
        guard let freed = table.removeAnswered(number) else { return finish(number, .success(whole())) }
        if freed.serial > 0 { close(freed.serial, of: freed.session, of: cluster) }
        freedCount += 1
        freedBytes += freed.length
        collect(
            RawNotification(
                correlation: freed.correlation, isAnswer: freed.isQuery, outcome: .success((reply, index))),
            for: freed.record)
    }

    private func notify(_ record: PipelineRecord, _ slot: Slot, _ outcome: Result<RawResult, any Error>) {
        let result: Result<(reply: ByteBuffer, index: LogIndex), FlotillaError> =
            switch outcome {
            case .success(let raw): .success((raw.reply, raw.index))
            case .failure(let error as FlotillaError): .failure(error)
            case .failure(let error): .failure(FlotillaError(.internalError, "\(error)"))
            }
        collect(
            RawNotification(correlation: slot.correlation, isAnswer: slot.kind.isQuery, outcome: result), for: record)
    }

    /// Keeps a notification for the end of the turn.
    func collect(_ notification: RawNotification, for record: PipelineRecord) {
        if record.collect(notification) { dirtyPipelines.append(record) }
    }

    /// Ends an operation with what its state says: commands that were written have an unknown outcome, anything else was not
    /// done.
    func finish(_ number: Int, abandonedBecause error: any Error, what: String) {
        if table[number].mayBeApplied {
            counters.unknowns += 1
            finish(number, .failure(FlotillaError(.outcomeUnknown, "the command may be applied or not: \(what)")))
        } else {
            finish(number, .failure(error))
        }
    }

    /// Ends an operation that a node refused for good. What it says holds for this copy of a command alone.
    func finish(_ number: Int, refusedBecause error: FlotillaError) {
        if error.code == .outcomeUnknown { counters.unknowns += 1 }
        guard table[number].isUncertain else { return finish(number, .failure(error)) }
        finish(number, abandonedBecause: error, what: "no answer came at first, and then: \(error.message)")
    }

    /// Gives back room, tells pipelines, and sends what has been submitted meanwhile. Everything that may finish
    /// operations ends with it.
    func endTurn() {
        guard freedCount > 0 || !dirtyPipelines.isEmpty else { return }
        submissions.release(count: freedCount, bytes: freedBytes)
        freedCount = 0
        freedBytes = 0
        let dirty = dirtyPipelines
        dirtyPipelines.removeAll(keepingCapacity: true)
        for record in dirty { record.flush() }
        drain()
    }
}
