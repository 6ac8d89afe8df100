import FlotillaWire

/// Why a command ends with something else than success, and with which exit code.
struct ControlFailure: Error, CustomStringConvertible {
    /// The cluster said no: not found, rejected.
    static let refused: Int32 = 1
    /// The command line, or a file that it names, makes no sense.
    static let usage: Int32 = 2
    /// It may have been done or not.
    static let unknown: Int32 = 3
    /// No leader or no connection; nothing was done.
    static let unavailable: Int32 = 4

    var exitCode: Int32
    var description: String

    init(_ exitCode: Int32, _ description: String) {
        self.exitCode = exitCode
        self.description = description
    }

    /// What stands for an error of any kind.
    init(_ error: any Error) {
        switch error {
        case let failure as ControlFailure: self = failure
        case let error as FlotillaError: self.init(Self.exitCode(error.code), error.description)
        case let error as NameError: self.init(Self.usage, error.description)
        default: self.init(Self.refused, "\(error)")
        }
    }

    static func exitCode(_ code: FlotillaError.Code) -> Int32 {
        switch code {
        case .outcomeUnknown: unknown
        case .noLeader, .unreachable, .timeout, .shuttingDown: unavailable
        default: refused
        }
    }
}
