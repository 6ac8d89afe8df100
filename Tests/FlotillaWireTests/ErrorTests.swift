import FlotillaWire
import NIOCore
import Testing

struct ErrorTests {
    @Test("Codes keep their numbers and have names")
    func codes() {
        let codes: [FlotillaError.Code] = [
            .invalidArgument, .unsupported, .tooLarge, .notLeader, .noLeader, .transferring, .busy, .unknownServer,
            .unknownCluster, .clusterExists, .clusterNotFormed, .overwritten, .outcomeUnknown, .timeout, .halted,
            .nonVoter, .unknownMember, .notUpToDate, .unknownMachine, .shuttingDown, .unreachable, .refused,
            .malformed, .internalError, .alreadyLeader, .deleted, .clusterChangeNotPermitted, .alreadyMember,
            .sessionExpired, .replyGone,
        ]
        #expect(codes.map(\.rawValue) == Array(1...30))
        #expect(FlotillaError.Code.notLeader.description == "not_leader")
        #expect(FlotillaError.Code.alreadyLeader.description == "already_leader")
        #expect(Set(codes.map(\.description)).count == 30)
        #expect(FlotillaError.Code.alreadyMember.description == "already_member")
        #expect(FlotillaError.Code.replyGone.description == "reply_gone")
    }

    @Test("A code of a newer version keeps its number", arguments: [0, 31, .max] as [UInt16])
    func unknownCodes(number: UInt16) throws {
        let error = FlotillaError(FlotillaError.Code(rawValue: number), "new")
        var buffer = ByteBuffer()
        error.encode(into: &buffer)
        var reader = WireReader(buffer)
        #expect(try FlotillaError(from: &reader) == error)
        #expect(error.code.description == "error_\(number)")
    }

    @Test("A message that is too long is cut at a character")
    func longMessages() throws {
        for filling in ["x", "ä", "\u{1F6A2}", "e\u{301}"] {
            var buffer = ByteBuffer()
            let text = "a" + String(repeating: filling, count: 2_000)
            FlotillaError(.busy, text).encode(into: &buffer)
            var reader = WireReader(buffer)
            let read = try FlotillaError(from: &reader).message
            #expect(text.hasPrefix(read))
            #expect((Limits.errorMessageBytes - 4...Limits.errorMessageBytes).contains(read.utf8.count))
        }
    }

    @Test("Errors say code and message")
    func descriptions() {
        #expect(FlotillaError(.busy, "later").description == "busy: later")
        #expect(WireError(.limit, "too long").description == "limit: too long")
    }
}
