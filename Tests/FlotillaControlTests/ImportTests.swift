import FlotillaTestNode
import FlotillaWire
import Synchronization
import Testing

@testable import FlotillaControl

@Suite("Importing", .timeLimit(.minutes(1)))
struct ImportTests {
    private func parse(_ text: String, chunk: Int = 1 << 20) -> (lines: [String], error: TSVError?) {
        var reader = TSVReader()
        var lines: [String] = []
        var rest = Array(text.utf8)[...]
        while true {
            let piece = rest.prefix(chunk)
            rest = rest.dropFirst(chunk)
            let (records, error) = reader.read(piece, isLast: piece.isEmpty)
            lines += records.map { record in
                let key = String(decoding: record.key, as: UTF8.self)
                return "\(record.line):\(key)=\(String(decoding: record.value, as: UTF8.self))"
            }
            if error != nil || piece.isEmpty { return (lines, error) }
        }
    }

    @Test("Lines end with LF, CRLF or the file; empty lines are skipped", arguments: [1, 2, 3, 7, 1_000])
    func lines(_ chunk: Int) {
        let (lines, error) = parse("a\t1\r\nb\t2\n\n\r\nc\tx\ty\nd\t\ne\t5", chunk: chunk)
        #expect(lines == ["1:a=1", "2:b=2", "5:c=x\ty", "6:d=", "7:e=5"])
        #expect(error == nil)
    }

    @Test("A line without a TAB or without a key is named by its number", arguments: [1, 1_000])
    func badLines(_ chunk: Int) {
        let missing = parse("a\t1\n\nno tab here\nb\t2\n", chunk: chunk)
        #expect(missing.lines == ["1:a=1"])
        #expect(missing.error?.line == 3)
        let empty = parse("\tvalue\n", chunk: chunk)
        #expect(empty.error?.line == 1)
    }

    struct Report: Decodable {
        var acknowledged: Int
        var repeated: Int
        var seconds: Double
        var records_per_second: Double
    }

    @Test("Every line is stored and counted; the same key twice keeps the later value")
    func stores() async throws {
        try await withNode { endpoint, _ in
            let file = try TemporaryFile((0..<5_000).map { "k\($0 % 4_000)\tv\($0)" }.joined(separator: "\n"))
            let ran = await flotilla("import", file.path, "--output", "json", "--endpoints", endpoint)
            #expect(ran.exitCode == 0)
            let report: Report = try ran.json()
            #expect(report.acknowledged == 5_000)
            #expect(report.repeated == 0)
            #expect(report.seconds > 0)
            #expect(await flotilla("get", "k999", "--endpoints", endpoint).output == "v4999\n")
        }
    }

    @Test("Puts with an unknown outcome are put again and counted")
    func repeats() async throws {
        let drops = Mutex(1)
        try await withNode { cluster in
            let leads = cluster.leadsKeyValue()
            return { received in
                let drop =
                    !received.commands.isEmpty
                    && drops.withLock {
                        $0 -= 1; return $0 >= 0
                    }
                return drop ? [] : leads(received)
            }
        } _: { endpoint, _ in
            let file = try TemporaryFile((0..<300).map { "k\($0)\tv\($0)\n" }.joined())
            let ran = await flotilla("import", file.path, "--timeout", "2", "--endpoints", endpoint)
            #expect(ran.exitCode == 0)
            #expect(ran.output.hasPrefix("300 acknowledged, "))
            #expect(!ran.output.contains(" 0 with unknown outcome"))
            let list = await flotilla("list", "--endpoints", endpoint)
            #expect(list.output.split(separator: "\n").count == 300)
        }
    }

    @Test("A bad line ends the import with exit code 2 after what came before it")
    func stopsAtBadLine() async throws {
        try await withNode { endpoint, _ in
            let file = try TemporaryFile("a\t1\nb\t2\nbroken\nc\t3\n")
            let ran = await flotilla("import", file.path, "--endpoints", endpoint)
            #expect(ran.exitCode == 2)
            #expect(ran.errors.contains("line 3"))
            #expect(ran.output.hasPrefix("2 acknowledged, 0 "))
        }
    }
}
