import FlotillaWire
import Synchronization

/// What has become of everything that was asked for while nodes were killed.
final class ChaosTally: Sendable {
    struct Counts: Sendable {
        var acknowledged = 0
        var unknown = 0
        var reads = 0
        /// Reads that found no answer before their deadline, and commands that were certainly not applied by then.
        var unanswered = 0
        var violations: [String] = []
    }

    private let counts = Mutex(Counts())

    var result: Counts { counts.withLock { $0 } }

    /// Notes that something is wrong; the first ones are enough.
    func violation(_ text: String) {
        counts.withLock { if $0.violations.count < 20 { $0.violations.append(text) } }
    }

    /// Has a command done.
    ///
    /// - Returns: its reply; `nil` when its outcome is unknown.
    func command<Reply>(_ name: String, _ body: () async throws -> Reply) async -> Reply? {
        while true {
            do {
                let reply = try await body()
                counts.withLock { $0.acknowledged += 1 }
                return reply
            } catch let error as FlotillaError {
                switch error.code {
                case .outcomeUnknown:
                    counts.withLock { $0.unknown += 1 }
                    return nil
                // Nothing was appended.
                case .timeout, .noLeader, .unreachable, .busy, .overwritten:
                    counts.withLock { $0.unanswered += 1 }
                default:
                    violation("\(name): a command failed: \(error)")
                    return nil
                }
            } catch {
                violation("\(name): a command failed: \(error)")
                return nil
            }
        }
    }

    /// Has a query answered; `nil` when no answer came before the deadline.
    func query<Answer>(_ name: String, _ body: () async throws -> Answer) async -> Answer? {
        do {
            let answer = try await body()
            counts.withLock { $0.reads += 1 }
            return answer
        } catch let error as FlotillaError
            where [.timeout, .noLeader, .unreachable, .busy].contains(error.code)
        {
            counts.withLock { $0.unanswered += 1 }
        } catch { violation("\(name): a query failed: \(error)") }
        return nil
    }
}
