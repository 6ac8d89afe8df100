import FlotillaWire

extension ConsensusMessage {
    /// The term that the message names.
    var term: Term {
        switch self {
        case .appendEntries(let message): message.term
        case .appendReply(let message): message.term
        case .commitNotice(let message): message.term
        case .voteRequest(let message): message.term
        case .voteReply(let message): message.term
        case .readRound(let message), .readRoundReply(let message): message.term
        case .readIndexRequest(let message): message.term
        case .readIndexReply(let message): message.term
        case .timeoutNow(let message): message.term
        case .removed(let message): message.term
        case .installSnapshot(let message): message.term
        }
    }
}
