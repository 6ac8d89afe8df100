import FlotillaTestNode
import FlotillaWire
import Testing

@Suite("put, get, delete and list", .timeLimit(.minutes(1)))
struct KeyValueCommandTests {
    @Test("What was put is printed as it is, with a newline")
    func putAndGet() async throws {
        try await withNode { endpoint, _ in
            let put = await flotilla("put", "colour", "deep blue", "--endpoints", endpoint)
            #expect(put.exitCode == 0)
            #expect(put.output == "ok index=1\n")
            #expect(put.errors.isEmpty)
            for consistency in ["consistent", "leader", "local"] {
                let get = await flotilla("get", "colour", "--consistency", consistency, "--endpoints", endpoint)
                #expect(get.exitCode == 0)
                #expect(get.output == "deep blue\n")
            }
        }
    }

    @Test("The endpoints come from the environment, and global options may stand first")
    func environment() async throws {
        try await withNode { endpoint, _ in
            let environment = ["FLOTILLA_ENDPOINTS": endpoint]
            let put = await flotilla("--output", "json", "--timeout=3", "put", "a", "1", environment: environment)
            #expect(put.output == #"{"index":1,"leader":"kv@n1","term":1}"# + "\n")
            let get = await flotilla("--output=json", "get", "a", environment: environment)
            #expect(get.output == #"{"index":1,"key":"a","value":"1"}"# + "\n")
        }
    }

    @Test("A key that is not there is exit code 1, and nothing on standard output")
    func notFound() async throws {
        try await withNode { endpoint, _ in
            for command in ["get", "delete"] {
                let ran = await flotilla(command, "nothing", "--endpoints", endpoint)
                #expect(ran.exitCode == 1)
                #expect(ran.output.isEmpty)
                #expect(ran.errors.contains("not found: nothing"))
            }
        }
    }

    @Test("A conditional put that does not hold is exit code 1 and says what stands there")
    func conditional() async throws {
        try await withNode { endpoint, _ in
            let first = await flotilla("put", "a", "1", "--if-index", "0", "--endpoints", endpoint)
            #expect(first.exitCode == 0)
            let absent = await flotilla("put", "a", "2", "--if-index", "0", "--endpoints", endpoint)
            #expect(absent.exitCode == 1)
            #expect(absent.errors.contains("its last put has the index 1"))
            let right = await flotilla("put", "a", "3", "--if-index", "1", "--endpoints", endpoint)
            #expect(right.exitCode == 0)
            let deleted = await flotilla("delete", "a", "--endpoints", endpoint)
            #expect(deleted.exitCode == 0)
        }
    }

    struct Item: Decodable, Equatable {
        var index: UInt64
        var key: String
        var value: String
    }

    @Test("A list reads page after page, as text and as JSON")
    func list() async throws {
        try await withNode { endpoint, node in
            let lines = (0..<2_345).map { "key\(10_000 + $0)\tvalue \($0)" }
            let file = try TemporaryFile(lines.joined(separator: "\n") + "\nother\tx\n")
            #expect(await flotilla("import", file.path, "--endpoints", endpoint).exitCode == 0)
            let text = await flotilla("list", "--prefix", "key", "--endpoints", endpoint)
            #expect(text.output.split(separator: "\n").map(String.init) == lines)
            let json = await flotilla("list", "--prefix", "key", "--output", "json", "--endpoints", endpoint)
            let items: [Item] = try json.json()
            #expect(items.count == 2_345)
            #expect(items.last?.value == "value 2344")
            let queries = node.received.filter { if case .queries = $0 { true } else { false } }
            #expect(queries.count == 6)
        }
    }

    @Test("An empty list is an empty list")
    func emptyList() async throws {
        try await withNode { endpoint, _ in
            #expect(await flotilla("list", "--endpoints", endpoint).output == "")
            let items: [Item] = try await flotilla("list", "--output", "json", "--endpoints", endpoint).json()
            #expect(items.isEmpty)
        }
    }

    @Test("A cluster with another machine is refused by name")
    func wrongMachine() async throws {
        try await withNode(machine: "counter", { $0.leadsCounter() }) { endpoint, node in
            let ran = await flotilla("put", "a", "b", "--endpoints", endpoint)
            #expect(ran.exitCode == 1)
            #expect(ran.errors.contains("runs the machine 'counter'"))
            #expect(node.commands.isEmpty)
        }
    }
}
