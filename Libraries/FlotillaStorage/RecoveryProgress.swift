/// How far a start has got with what is on disk.
public enum RecoveryProgress: Sendable, Equatable {
    /// So many servers' files have been looked at.
    case servers(Int, of: Int)
    /// So many files of the write-ahead log have been read.
    case logFiles(Int, of: Int)
}

extension RecoveryProgress: CustomStringConvertible {
    /// For people.
    public var description: String {
        switch self {
        case .servers(let done, let all): "the files of \(done) of \(all) servers looked at"
        case .logFiles(let done, let all): "\(done) of \(all) files of the write-ahead log read"
        }
    }
}
