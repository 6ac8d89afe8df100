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
        let taken = submissions.take()
        for (number, deliver) in taken.pipelines {
            pipelines[number] = PipelineRecord(number: number, deliver: deliver)
        }
        for frame in taken.frames { enqueue(frame) }
        if isShutDown, !taken.frames.isEmpty { failEverything() }
        if !taken.isIdle { ensureSweep() }
        for cluster in clusters { flush(cluster) }
    }

    private func enqueue(_ submitted: SubmittedFrame) {
        let (cluster, lane) = route(submitted.route)
        let frame = OutFrame(submitted)
        for item in submitted.items {
            let number = table.take()
            frame.add(slot: number, offset: item.offset, wireCorrelation: table.wireCorrelation(number))
            fill(&table[number], item, frame, route: submitted.route)
            earliestDeadline = min(earliestDeadline, item.deadline)
        }
        cluster.lanes[lane][frame.kind.rawValue].waiting.append(frame)
    }

    private func fill(_ slot: inout Slot, _ item: SubmittedItem, _ frame: OutFrame, route: Int) {
        slot.state = .queued
        slot.kind = frame.kind
        slot.route = route
        slot.correlation = item.correlation
        slot.deadline = item.deadline
        slot.frame = frame
        slot.offset = item.offset
        slot.length = item.length
        switch item.sink {
        case .caller(let continuation): slot.waiting = .caller(continuation)
        case .pipeline(let number): slot.waiting = pipelines[number].map { .pipeline($0) }
        }
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
        let slot = table[number]
        freedCount += 1
        freedBytes += slot.length
        if case .queued = slot.state { slot.frame?.abandoned += 1 }
        table.release(number)
        switch slot.waiting {
        case .caller(let continuation): continuation.resume(returning: outcome)
        case .pipeline(let record): notify(record, slot, outcome)
        case nil: break
        }
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

    /// Ends an operation with what its state says: written commands have an unknown outcome, anything else was not
    /// done.
    func finish(_ number: Int, abandonedBecause error: any Error, what: String) {
        if table[number].isSent, !table[number].kind.isQuery {
            counters.unknowns += 1
            finish(number, .failure(FlotillaError(.outcomeUnknown, "the command may be applied or not: \(what)")))
        } else {
            finish(number, .failure(error))
        }
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
