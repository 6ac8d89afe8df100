import FlotillaStorage
import FlotillaWire

/// A small log of a few batches, and what each of its prefixes holds.
struct SmallLog {
    let disk: MemoryFileSystem
    let path: String
    /// Where each batch begins in the file, and where the first unused block does.
    let offsets: [Int]
    /// What is recovered after so many batches.
    let prefixes: [RecoveredValues]

    /// Writes it; with `sealed` the last batch is an empty one.
    static func make(sealed: Bool) async throws -> SmallLog {
        let log = try await TestLog()
        var prefixes = [try await recover(log.disk).values]
        let batches: [[WALRecord]] = [
            [.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2))],
            [Sample.hardState(1, term: 2, vote: 1), Sample.entries(1, 1...3, term: 2)],
            [Sample.entries(2, 1...1, term: 1, body: 5_000), Sample.entries(1, 4...4, term: 2), .peer(Sample.peer(4))],
            [.truncated(Sample.uid(1), from: 3), Sample.entries(1, 3...5, term: 3, epoch: 1)],
            [.lastApplied(Sample.uid(1), 4), Sample.entries(2, 2...3, term: 4, body: 33)],
        ]
        for batch in batches {
            log.log.append(batch)
            await log.settle()
            prefixes.append(try await recover(log.disk).values)
        }
        if sealed {
            await log.seal()
            prefixes.append(try await recover(log.disk).values)
        }
        let path = log.path(1)
        let writes = log.disk.journal.compactMap { line -> (Int, Int)? in
            let words = line.split(separator: " ")
            guard words.count == 4, words[0] == "write", words[1] == path, let offset = Int(words[2]),
                let count = Int(words[3])
            else { return nil }
            return (offset, count)
        }
        let offsets = writes.map(\.0) + [(writes.last?.0 ?? 0) + (writes.last?.1 ?? 0)]
        return SmallLog(disk: log.disk, path: path, offsets: offsets, prefixes: prefixes)
    }

    /// The same disk with the file changed.
    func changed(_ body: (inout [UInt8]) -> Void) -> MemoryFileSystem {
        let copy = MemoryFileSystem(copying: disk, handler: { _ in })
        copy.change(path, body)
        return copy
    }
}
