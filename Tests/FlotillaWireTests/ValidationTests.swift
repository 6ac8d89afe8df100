import FlotillaWire
import NIOCore
import Testing

/// Fields that are whole but have values that they can't have.
struct ValidationTests {
    private func refuses(_ message: Message, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(sourceLocation: sourceLocation) {
            try Message.decode(frame: message.frame())
        } throws: { ($0 as? WireError)?.code == .malformed || ($0 as? WireError)?.code == .limit }
    }

    private func located(_ members: [Member]) -> Message {
        .response(
            .located(
                Located(
                    cluster: Sample.cluster, machine: "kv", local: Sample.uid(1), leader: nil, term: 1,
                    configuration: ClusterConfiguration(members: members))))
    }

    @Test("A configuration has members, each once, and not too many")
    func configurations() throws {
        refuses(located([]))
        refuses(located([Sample.member(1), Sample.member(1)]))
        var sameName = Sample.member(1)
        sameName.uid = Sample.uid(2)
        refuses(located([Sample.member(1), sameName]))
        var sameIdentity = Sample.member(2)
        sameIdentity.uid = Sample.uid(1)
        refuses(located([Sample.member(1), sameIdentity]))
        refuses(located((1...UInt64(Limits.members) + 1).map { Sample.member($0) }))
        let largest = located((1...UInt64(Limits.members)).map { Sample.member($0) })
        #expect(try Message.decode(frame: largest.frame()) == largest)
    }

    @Test("A member has a role that is known")
    func roles() throws {
        var frame = located([Sample.member(1)]).frame()
        // The role is the byte before the last eight.
        frame.setInteger(UInt8(3), at: frame.writerIndex - 9)
        #expect(throws: WireError.self) { try Message.decode(frame: frame) }
    }

    @Test("A list of members says of each how far it has come")
    func memberLists() {
        refuses(
            .response(
                .memberList(
                    MemberList(
                        leader: Sample.server(1), term: 1, configuration: Sample.configuration, matched: [1, 2]))))
    }

    @Test("Truth values, kinds, outcomes and consistencies are those that are known")
    func enumerations() throws {
        func refuses(_ name: String, at place: Int, _ value: UInt8) throws {
            let sample = try #require(Sample.all.first { $0.name == name })
            var frame = sample.frame
            let position = FrameHeader.byteCount + place
            frame.setInteger(value, at: place < 0 ? frame.writerIndex + place : position)
            #expect(throws: WireError.self, "\(name)") { try Message.decode(frame: frame) }
        }
        try refuses("locate", at: 4, 2)
        try refuses("leaderships", at: 0, 0xff)
        try refuses("vote-request", at: 56, 3)
        try refuses("vote-reply", at: -1, 2)
        try refuses("append-reply-stale", at: -1, 3)
        try refuses("queries", at: 16, 3)
        try refuses("queries", at: 17, 1)
        try refuses("read-index-reply", at: -9, 7)
    }
}
