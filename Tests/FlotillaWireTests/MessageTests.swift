import FlotillaWire
import NIOCore
import Testing

struct MessageTests {
    private func body(of sample: Sample) throws -> (type: FrameType, body: ByteBuffer) {
        let frame = sample.frame
        let header = try #require(
            try frame.withUnsafeReadableBytes { try FrameHeader.load(from: $0, limit: Limits.frameBytes) })
        #expect(header.frameLength == frame.readableBytes)
        #expect(header.correlation == sample.correlation)
        let type = try #require(FrameType(rawValue: header.type))
        return (type, try #require(frame.getSlice(at: FrameHeader.byteCount, length: header.bodyLength)))
    }

    @Test("Every message is read back as it was written", arguments: Sample.all)
    func roundTrip(sample: Sample) throws {
        #expect(try Message.decode(frame: sample.frame) == sample.message)
    }

    @Test("There is a sample of every frame type")
    func completeness() throws {
        let types = Set(try Sample.all.map { try body(of: $0).type })
        #expect(types == Set(FrameType.allCases))
        #expect(Set(Sample.all.map(\.name)).count == Sample.all.count)
    }

    @Test("A body that is cut short anywhere is refused", arguments: Sample.all)
    func truncation(sample: Sample) throws {
        let (type, body) = try body(of: sample)
        // Entries are checked by whoever takes them in; of their bytes the message only knows the least length.
        var required = body.readableBytes
        if case .consensus(_, _, let entries) = sample.message { required -= entries.readableBytes }
        for length in 0..<body.readableBytes {
            let cut = try #require(body.getSlice(at: body.readerIndex, length: length))
            if length < required {
                #expect(throws: WireError.self, "\(length) of \(body.readableBytes) bytes") {
                    try Message.decode(type, body: cut)
                }
            } else {
                _ = try? Message.decode(type, body: cut)
            }
        }
    }

    @Test("A frame that has not arrived whole is not read", arguments: Sample.all)
    func incompleteFrames(sample: Sample) throws {
        let frame = sample.frame
        for length in 0..<frame.readableBytes {
            let cut = try #require(frame.getSlice(at: 0, length: length))
            #expect(try Message.decode(frame: cut) == nil)
        }
    }

    @Test("What a newer minor version adds at the end is skipped", arguments: Sample.all)
    func trailingBytes(sample: Sample) throws {
        if case .consensus(.appendEntries, _, _) = sample.message { return }
        var (type, body) = try body(of: sample)
        body.writeString("added later")
        #expect(try Message.decode(type, body: body) == sample.message)
    }

    @Test("A message of one type is nothing to a decoder of another kind", arguments: FrameType.allCases)
    func wrongDecoder(type: FrameType) throws {
        let empty = ByteBuffer()
        let isConsensus = type.isConsensus
        let isPeer =
            (16...31).contains(type.rawValue) || (43...48).contains(type.rawValue) && type != .installSnapshot
        if !isConsensus { #expect(try ConsensusMessage.decode(type, body: empty) == nil) }
        if !isPeer { #expect(try PeerMessage.decode(type, body: empty) == nil) }
        if type.rawValue < 80 { #expect(try ClientRequest.decode(type, body: empty) == nil) }
        if type.rawValue < 80, type != .error { #expect(try ClientResponse.decode(type, body: empty) == nil) }
    }

    @Test("A frame is written behind what the buffer already holds, in steps or at once")
    func framesInSequence() throws {
        var buffer = ByteBuffer(string: "before")
        let start = buffer.beginFrame(.appendEntries, correlation: 9)
        #expect(start == 6)
        buffer.writeString("head")
        buffer.endFrame(from: start, following: 5)
        buffer.writeString("tail!")
        buffer.writeFrame(.done, correlation: 4)
        buffer.moveReaderIndex(forwardBy: 6)
        let first = try #require(try buffer.withUnsafeReadableBytes { try FrameHeader.load(from: $0, limit: 100) })
        #expect(first == FrameHeader(type: 32, bodyLength: 9, correlation: 9))
        buffer.moveReaderIndex(forwardBy: first.frameLength)
        let second = try buffer.withUnsafeReadableBytes { try FrameHeader.load(from: $0, limit: 100) }
        #expect(second == FrameHeader(type: 92, bodyLength: 0, correlation: 4))
        #expect(buffer.readableBytes == FrameHeader.byteCount)
    }
}
