import FlotillaWire
import NIOCore
import Testing

/// Lengths and counts that promise more than there is. They are refused before anything is reserved for them.
struct LyingLengthTests {
    private func check(
        _ type: FrameType, _ code: WireError.Code, _ write: (inout ByteBuffer) -> Void,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var body = ByteBuffer()
        write(&body)
        body.writeRepeatingByte(0, count: 3)
        #expect(sourceLocation: sourceLocation) {
            try Message.decode(type, body: body)
        } throws: {
            ($0 as? WireError)?.code == code
        }
    }

    private let most = UInt32.max

    @Test("Counts of lists")
    func counts() {
        check(.serverStopped, .limit) { $0.writeLittle(most) }
        check(.serverStopped, .truncated) { $0.writeLittle(UInt32(Limits.clustersPerPage)) }
        check(.leaderships, .limit) {
            $0.writeLittle(UInt16(0))
            $0.writeLittle(most)
        }
        check(.clusters, .limit) {
            $0.writeBool(false)
            $0.writeLittle(most)
        }
        check(.clusterStarted, .limit) {
            $0.writeIdentifier(Sample.cluster)
            $0.writeServerID(Sample.server(1))
            $0.writeLittle(UInt32(Limits.members + 1))
        }
        check(.rejections, .limit) {
            $0.writeIdentifier(Sample.uid(1))
            FlotillaError(.busy, "").encode(into: &$0)
            $0.writeLittle(most)
        }
        check(.rejections, .truncated) {
            $0.writeIdentifier(Sample.uid(1))
            FlotillaError(.busy, "").encode(into: &$0)
            $0.writeLittle(UInt32(Limits.frameBytes / 8))
        }
        check(.nodeOverview, .limit) {
            Sample.node(1).encode(into: &$0)
            $0.writeLittle(most)
        }
        check(.nodeOverview, .limit) {
            Sample.node(1).encode(into: &$0)
            $0.writeLittle(UInt32(0))
            $0.writeLittle(most)
        }
    }

    @Test("Counts of commands, results, queries and entries")
    func batches() {
        check(.results, .truncated) {
            $0.writeIdentifier(Sample.uid(1))
            $0.writeLittle(UInt64(5))
            $0.writeLittle(UInt64(most))
        }
        check(.queries, .truncated) {
            $0.writeIdentifier(Sample.uid(1))
            $0.writeLittle(UInt64(most) << 32)
        }
        check(.commands, .truncated) {
            $0.writeIdentifier(Sample.uid(1))
            $0.writeLittle(UInt64(most))
        }
        check(.appendEntries, .malformed) {
            for _ in 0..<3 { $0.writeIdentifier(Sample.cluster) }
            for _ in 0..<4 { $0.writeLittle(UInt64(1)) }
            $0.writeLittle(most)
        }
    }

    @Test("Lengths of replies, queries, settings and texts")
    func lengths() {
        check(.answers, .limit) {
            ResultBatch.begin(server: Sample.uid(1), term: 1, into: &$0)
            ResultBatch.setCount(1, from: 0, in: &$0)
            $0.writeLittle(UInt64(1))
            $0.writeLittle(UInt64(1))
            $0.writeLittle(most)
        }
        check(.queries, .limit) {
            QueryBatch.begin(target: Sample.uid(1), consistency: .local, into: &$0)
            QueryBatch.setCount(1, from: 0, in: &$0)
            $0.writeLittle(UInt64(1))
            $0.writeLittle(most)
        }
        check(.startCluster, .limit) {
            $0.writeIdentifier(Sample.cluster)
            $0.writeText("kv")
            $0.writeText("kv")
            $0.writeLittle(UInt32(Limits.machineConfigurationBytes + 1))
        }
        check(.startServer, .truncated) {
            $0.writeIdentifier(Sample.cluster)
            $0.writeText("kv")
            $0.writeText("kv")
            $0.writeLittle(UInt32(Limits.machineConfigurationBytes))
        }
        check(.locate, .limit) { $0.writeLittle(UInt16.max) }
        check(.locate, .truncated) { $0.writeLittle(UInt16(255)) }
        check(.error, .limit) {
            $0.writeLittle(UInt16(1))
            $0.writeLittle(UInt16(Limits.errorMessageBytes + 1))
        }
    }

    @Test("Every field of every message may be all ones", arguments: Sample.all)
    func allOnes(sample: Sample) throws {
        let frame = sample.frame
        let type = try #require(FrameType(rawValue: frame.getInteger(at: 4) ?? 0))
        let body = try #require(
            frame.getSlice(at: FrameHeader.byteCount, length: frame.readableBytes - FrameHeader.byteCount))
        for width in [1, 2, 4, 8] where body.readableBytes >= width {
            for place in 0...(body.readableBytes - width) {
                var changed = Array(body.readableBytesView)
                for offset in place..<place + width { changed[offset] = 0xff }
                // Read or refused: a trap would end the process.
                _ = try? Message.decode(type, body: ByteBuffer(bytes: changed))
            }
        }
    }

    @Test("Indexes and terms that arithmetic could overflow are refused")
    func positions() throws {
        func reader(_ number: UInt64) -> WireReader {
            WireReader(ByteBuffer(integer: number, endianness: .little))
        }
        for number in [Limits.position + 1, UInt64(Int64.max), .max] {
            var (index, term) = (reader(number), reader(number))
            #expect { try index.index() } throws: { ($0 as? WireError)?.code == .limit }
            #expect { try term.term() } throws: { ($0 as? WireError)?.code == .limit }
        }
        var highest = reader(Limits.position)
        #expect(try highest.index().next.rawValue == Limits.position + 1)
    }
}
