import FlotillaKernel
import FlotillaWire
import NIOCore
import Testing

/// A client of a kernel that speaks the protocol by hand.
final class TestClient {
    private let fleet: KernelFleet
    private let node: KernelFleet.Node
    var link: LinkID?
    private var correlation: UInt64 = 0

    private(set) var hellos = 0
    /// The length of the longest frame that has come.
    private(set) var longestFrame = 0
    private(set) var responses: [UInt64: ClientResponse] = [:]
    private(set) var results: [UInt64: (index: LogIndex, reply: ByteBuffer)] = [:]
    private(set) var rejections: [UInt64: FlotillaError] = [:]
    /// What its sessions were told.
    private(set) var events: [SessionID: [SessionEvents.Event]] = [:]

    init(fleet: KernelFleet, node: KernelFleet.Node) {
        self.fleet = fleet
        self.node = node
    }

    func send(_ write: (inout ByteBuffer) -> Void) {
        guard let link else { return }
        var buffer = ByteBuffer()
        write(&buffer)
        do { try node.kernel.receive(&buffer, on: link) } catch { Issue.record("\(error)") }
    }

    func hello() {
        send { $0.writeFrame(.hello) { Hello(role: .client(1)).encode(into: &$0) } }
        fleet.settle()
    }

    func take(_ bytes: inout ByteBuffer) {
        while let length: UInt32 = bytes.readInteger(endianness: .little),
            let frame = bytes.readSlice(length: Int(length))
        {
            take(frame)
        }
    }

    private func take(_ frame: ByteBuffer) {
        longestFrame = max(longestFrame, frame.readableBytes)
        let body = frame.getSlice(at: frame.readerIndex + 12, length: frame.readableBytes - 12) ?? ByteBuffer()
        guard let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self).flatMap(FrameType.init),
            let number: UInt64 = frame.getInteger(at: frame.readerIndex + 4, endianness: .little)
        else {
            Issue.record("a frame of no known type")
            return
        }
        do {
            switch type {
            case .welcome: hellos += 1
            case .results, .answers:
                _ = try ResultBatch.decode(body) { correlation, index, reply in
                    #expect(self.results[correlation] == nil, "answered twice")
                    self.results[correlation] = (index, reply)
                }
            case .rejections:
                var reader = WireReader(body)
                let batch = try Rejections(from: &reader)
                for correlation in batch.correlations { rejections[correlation] = batch.error }
            case .sessionEvents:
                var reader = WireReader(body)
                let told = try SessionEvents(from: &reader)
                events[told.session, default: []] += told.events
            default: responses[number] = try ClientResponse.decode(type, body: body)
            }
        } catch { Issue.record("\(error)") }
    }

    // MARK: Requests

    /// Sends a request; the answer is found under the number that is returned.
    @discardableResult
    func ask(_ request: ClientRequest) -> UInt64 {
        correlation += 1
        let number = correlation
        send { $0.writeFrame(request.frameType, correlation: number) { request.encodeBody(into: &$0) } }
        fleet.settle()
        return number
    }

    func start(_ name: String, machine: String, on nodes: [String], id: ClusterID? = nil) throws -> ClientResponse? {
        var generator = SystemRandomNumberGenerator()
        let number = ask(
            .startCluster(
                ClientRequest.StartCluster(
                    cluster: id ?? .random(using: &generator), name: try ClusterName(name), machine: machine,
                    machineConfiguration: ByteBuffer(), nodes: try nodes.map { try NodeName($0) },
                    timeoutMilliseconds: 3_000)))
        _ = fleet.run(atMost: 5_000) { responses[number] != nil }
        return responses[number]
    }

    /// Sends commands in one frame; returns the numbers under which the results are found.
    @discardableResult
    func submit(
        _ commands: [ByteBuffer], prefix: CommandPrefix = CommandPrefix(), to server: ServerUID
    ) -> [UInt64] {
        let numbers = commands.map { _ in
            correlation += 1
            return correlation
        }
        send { buffer in
            buffer.writeFrame(.commands) { buffer in
                let start = buffer.writerIndex
                CommandBatch.begin(target: server, into: &buffer)
                for (number, command) in zip(numbers, commands) {
                    CommandBatch.append(correlation: number, into: &buffer) { buffer in
                        prefix.encode(into: &buffer)
                        buffer.writeImmutableBuffer(command)
                    }
                }
                CommandBatch.setCount(commands.count, from: start, in: &buffer)
            }
        }
        fleet.settle()
        return numbers
    }

    /// Adds to a counter, once for each amount.
    func add(_ amounts: Int64..., to server: ServerUID) -> [UInt64] {
        submit(
            amounts.map { amount in
                var command = ByteBuffer()
                command.writeLittle(amount)
                return command
            }, to: server)
    }

    /// Asks a counter.
    func query(_ server: ServerUID, _ consistency: QueryConsistency) -> UInt64 {
        correlation += 1
        let number = correlation
        send { buffer in
            buffer.writeFrame(.queries) { buffer in
                let start = buffer.writerIndex
                QueryBatch.begin(target: server, consistency: consistency, into: &buffer)
                QueryBatch.append(correlation: number, into: &buffer) { _ in }
                QueryBatch.setCount(1, from: start, in: &buffer)
            }
        }
        fleet.settle()
        return number
    }

    /// Why a command or a query was refused.
    func rejection(_ correlation: UInt64) -> FlotillaError? { rejections[correlation] }

    /// The answer to a request.
    func response(_ correlation: UInt64) -> ClientResponse? { responses[correlation] }

    /// The number in a result.
    func number(_ correlation: UInt64) -> Int64? {
        results[correlation].flatMap { $0.reply.getInteger(at: $0.reply.readerIndex, endianness: .little) }
    }
}
