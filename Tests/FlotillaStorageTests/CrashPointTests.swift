import FlotillaStorage
import FlotillaWire
import Testing

/// The disk stops after each operation in turn, and keeps only what was synced.
@Suite struct CrashPointTests {
    @Test(arguments: [WALWriteMode.dataSync, .direct])
    func whatWasConfirmedSurvivesACrashAfterAnyOperation(mode: WALWriteMode) async throws {
        var operations = 0
        while true {
            let blank = MemoryFileSystem()
            let log = try await TestLog(on: blank, mode: mode)
            log.disk.die(after: operations)
            await work(log)
            let finished = log.failures.isEmpty
            var confirmed: LogIndex = .zero
            var term: Term = .zero
            for notice in log.notices.flatMap({ $0 }) {
                if case .entries(_, _, let through, _) = notice { confirmed = through }
                if case .hardState(_, let state) = notice { term = state.term }
            }
            log.disk.losePower()
            let first = try await recover(log.disk)
            if confirmed > .zero { #expect(first.values.servers.first?.last == confirmed, "after \(operations)") }
            if term > .zero { #expect((first.values.servers.first?.hardState.term ?? .zero) >= term) }
            #expect(try await recover(first.disk).values == first.values)
            try await goOn(first.disk, first.node.start, mode, behind: first.values)
            if finished { return }
            operations += 1
        }
    }

    private func work(_ log: TestLog) async {
        await log.write(.serverCreated(Sample.creation(1)))
        for index in 1...14 as ClosedRange<UInt64> {
            await log.write(
                Sample.entries(1, index...index, term: index, body: 7_000), Sample.hardState(1, term: index))
        }
    }

    /// A second life that writes on, and a third that reads it.
    private func goOn(
        _ disk: MemoryFileSystem, _ start: WALStart, _ mode: WALWriteMode, behind values: RecoveredValues
    ) async throws {
        guard let last = values.servers.first?.last.rawValue else { return }
        let log = try await TestLog(on: disk, start: start, mode: mode)
        await log.write(Sample.entries(1, last + 1...last + 1, term: 99))
        log.disk.losePower()
        #expect(try await recover(log.disk).values.servers.first?.last.rawValue == last + 1)
    }
}
