import FlotillaWire
import NIOCore
import Testing

/// Messages that were changed in random places: each is read as something that can be written and read again, or it
/// is refused. Nothing else may happen.
struct MutationTests {
    private static let bodies: [(type: FrameType, bytes: [UInt8])] = Sample.all.compactMap { sample in
        let frame = sample.frame
        guard let number: UInt8 = frame.getInteger(at: 4), let type = FrameType(rawValue: number) else { return nil }
        return (type, Array(frame.readableBytesView.dropFirst(FrameHeader.byteCount)))
    }

    private func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        let count = min(Int.random(in: 1...8, using: &generator), bytes.count - place)
        switch Int.random(in: 0..<8, using: &generator) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1 where place < bytes.count: bytes[place] = generator.pick([0, 1, 2, 0x7f, 0x80, 0xfe, 0xff])
        case 2: for offset in place..<place + count { bytes[offset] = 0xff }
        case 3: for offset in place..<place + count { bytes[offset] = UInt8.random(in: 0...255, using: &generator) }
        case 4: bytes.removeSubrange(place..<place + count)
        case 5: bytes.insert(contentsOf: [UInt8](repeating: generator.pick([0, 0xff, 0x41]), count: 4), at: place)
        case 6: bytes.removeLast(bytes.count - place)
        default:
            let other = generator.pick(Self.bodies).bytes
            let from = Int.random(in: 0...other.count, using: &generator)
            bytes.replaceSubrange(place..., with: other[from...])
        }
    }

    @Test("Mutated messages are read or refused", arguments: 0..<8 as Range<UInt64>)
    func mutations(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<15_000 {
            var (type, bytes) = generator.pick(Self.bodies)
            for _ in 0..<Int.random(in: 1...3, using: &generator) { mutate(&bytes, &generator) }
            if Int.random(in: 0..<20, using: &generator) == 0 { type = generator.pick(FrameType.allCases) }
            guard let message = try? Message.decode(type, body: ByteBuffer(bytes: bytes)) else { continue }
            read += 1
            let again = try Message.decode(frame: message.frame())
            if again != message { Issue.record("\(type) \(bytes) is read as \(message), then as \(again as Any)") }
        }
        // Were nothing read any more, the test would have stopped testing.
        #expect(read > 1_000)
    }

    @Test("Mutated frame headers are read within the limit or refused")
    func headers() {
        var generator = SeededGenerator(seed: 77)
        for _ in 0..<20_000 {
            let limit = generator.pick([Limits.frameBytesBeforeHello, Limits.frameBytes])
            var bytes = Array(generator.pick(Sample.all).frame.readableBytesView.prefix(FrameHeader.byteCount))
            mutate(&bytes, &generator)
            let header = try? bytes.withUnsafeBytes { try FrameHeader.load(from: $0, limit: limit) }
            guard let header else { continue }
            #expect(header.bodyLength >= 0 && header.bodyLength + FrameHeader.countedByteCount <= limit)
        }
    }

    @Test("Mutated entries are damaged or the same")
    func entries() {
        var generator = SeededGenerator(seed: 78)
        let entry = Array(Sample.entry(.command, index: 17, Sample.command(Sample.put)).readableBytesView)
        for _ in 0..<20_000 {
            var bytes = entry
            mutate(&bytes, &generator)
            guard (try? bytes.withUnsafeBytes({ try EntryHeader.verify($0) })) != nil else { continue }
            #expect(bytes.starts(with: entry))
        }
    }
}
