import FlotillaClient
import FlotillaMachines
import FlotillaWire
import NIOCore
import Synchronization

/// Writers that put numbered values and remember what became of each.
final class Workload: Sendable {
    /// What became of the puts of one writer's key, in order.
    struct Record: Sendable {
        /// The last value that was acknowledged.
        var acknowledged = 0
        /// Values after it whose outcome is unknown.
        var unknown: [Int] = []
    }

    struct Outcome: Sendable {
        var records: [Int: Record] = [:]
        var acknowledged = 0
        var unknown = 0
        var unexpected: [String] = []
        /// When the last put before and the first put after each gap were acknowledged.
        var acknowledgedAt: [ContinuousClock.Instant] = []
    }

    private let outcome = Mutex(Outcome())
    private let isStopped = Mutex(false)

    var result: Outcome { outcome.withLock { $0 } }

    func stop() { isStopped.withLock { $0 = true } }

    /// Puts rising numbers, each writer under its own key, until it is told to stop.
    func run(_ store: ClusterClient<KeyValue>, writers: Int) async {
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<writers { group.addTask { await self.write(store, as: writer) } }
        }
    }

    private func write(_ store: ClusterClient<KeyValue>, as writer: Int) async {
        var value = 0
        while !isStopped.withLock({ $0 }) {
            value += 1
            do {
                _ = try await store.process(.put(Self.key(writer), ByteBuffer(string: "\(value)"), ifIndex: nil))
                note { $0.acknowledged += 1 }
                note { $0.acknowledgedAt.append(.now) }
                let acknowledged = value
                note { outcome in
                    outcome.records[writer, default: Record()].acknowledged = acknowledged
                    outcome.records[writer, default: Record()].unknown = []
                }
            } catch let error as FlotillaError where error.code == .outcomeUnknown {
                let unknown = value
                note { $0.unknown += 1 }
                note { $0.records[writer, default: Record()].unknown.append(unknown) }
            } catch {
                note { $0.unexpected.append("\(error)") }
                return
            }
        }
    }

    private func note(_ change: (inout Outcome) -> Void) { outcome.withLock { change(&$0) } }

    static func key(_ writer: Int) -> KeyValue.Key { KeyValue.Key("writer-\(writer)") }

    /// What is wrong with what a consistent read finds now; empty when nothing that was acknowledged is lost.
    func violations(in store: ClusterClient<KeyValue>) async throws -> [String] {
        var violations: [String] = []
        for (writer, record) in result.records.sorted(by: { $0.key < $1.key }) {
            let answer = try await store.query(.get(Self.key(writer)), consistency: .consistent)
            let found: Int
            if case .item(let item) = answer { found = Int(String(buffer: item.value)) ?? -1 } else { found = 0 }
            // A put that was unknown may have come after the last acknowledged one.
            if found != record.acknowledged, !record.unknown.contains(found) {
                violations.append("writer \(writer): \(found) found, \(record.acknowledged) acknowledged")
            }
        }
        return violations
    }
}
