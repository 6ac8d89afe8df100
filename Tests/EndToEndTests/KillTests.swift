import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Testing

/// What was acknowledged survives the death of processes.
@Suite(.serialized) struct KillTests {
    private enum Victim: CaseIterable {
        case leader
        case follower
        case all
    }

    private func kill(_ victim: Victim, in cluster: LocalCluster, _ store: ClusterClient<KeyValue>) async throws {
        let leader = try await leaderNode(of: store)
        switch victim {
        case .leader:
            try await cluster[leader].killed()
            try await cluster.restart(leader)
        case .follower:
            let follower = leader == "n1" ? "n2" : "n1"
            try await cluster[follower].killed()
            try await cluster.restart(follower)
        case .all: try await cluster.killAndRestartAll()
        }
    }

    @Test(arguments: Victim.allCases)
    private func `acknowledged writes survive a kill`(victim: Victim) async throws {
        try await LocalCluster.with(3) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            let store = client.cluster(try ClusterName("kv"), of: KeyValue.self)
            let workload = Workload()
            async let writing: Void = workload.run(store, writers: 32)
            for _ in 0..<3 {
                let before = workload.result.acknowledged
                _ = try await eventually("more writes") { workload.result.acknowledged > before + 500 ? true : nil }
                try await kill(victim, in: cluster, store)
            }
            let before = workload.result.acknowledged
            _ = try await eventually("writes after the last kill") {
                workload.result.acknowledged > before + 500 ? true : nil
            }
            workload.stop()
            await writing
            #expect(workload.result.unexpected == [])
            #expect(try await workload.violations(in: store) == [])
            try await cluster.killAndRestartAll()
            #expect(try await workload.violations(in: store) == [])
            await client.shutdown()
        }
    }

    @Test func `through a failover every command is acknowledged or unknown, and reads carry on`() async throws {
        try await LocalCluster.with(3) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("count"), machine: "counter", nodes: cluster.names)
            let counter = client.cluster(try ClusterName("count"), of: Counter.self)
            var acknowledged = 0
            var unknown = 0
            for round in 0..<4 {
                let leader = try await leaderNode(of: counter)
                let outcomes = try await withThrowingTaskGroup(of: Bool?.self) { group in
                    for number in 0..<400 {
                        group.addTask {
                            if number % 4 == 0 {
                                _ = try await counter.query(Nothing(), consistency: .consistent)
                                return nil
                            }
                            do {
                                _ = try await counter.process(Counter.Command(amount: 1))
                                return true
                            } catch let error as FlotillaError where error.code == .outcomeUnknown {
                                return false
                            }
                        }
                    }
                    // In the midst of it.
                    cluster[leader].signal(SIGKILL)
                    return try await group.reduce(into: [Bool]()) { if let outcome = $1 { $0.append(outcome) } }
                }
                acknowledged += outcomes.filter { $0 }.count
                unknown += outcomes.filter { !$0 }.count
                #expect(outcomes.count == 300, "round \(round)")
                try await cluster[leader].ended()
                try await cluster.restart(leader)
            }
            let sum = Int(try await counter.query(Nothing(), consistency: .consistent))
            #expect(sum >= acknowledged)
            #expect(sum <= acknowledged + unknown)
            await client.shutdown()
        }
    }

    @Test func `a killed leader is replaced quickly`() async throws {
        try await LocalCluster.with(3) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            let store = client.cluster(try ClusterName("kv"), of: KeyValue.self)
            _ = try await store.process(.put(KeyValue.Key("k"), ByteBuffer(string: "v"), ifIndex: nil))
            var gaps: [Duration] = []
            // More rounds for figures: FLOTILLA_FAILOVERS=20.
            let rounds = ProcessInfo.processInfo.environment["FLOTILLA_FAILOVERS"].flatMap { Int($0) } ?? 5
            for _ in 0..<rounds {
                let leader = try await leaderNode(of: store)
                let killed = ContinuousClock.now
                cluster[leader].signal(SIGKILL)
                _ = try await eventually("a write after the kill") { () -> Bool? in
                    do {
                        _ = try await store.process(.put(KeyValue.Key("k"), ByteBuffer(string: "v"), ifIndex: nil))
                        return true
                    } catch let error as FlotillaError where error.code == .outcomeUnknown { return nil }
                }
                gaps.append(ContinuousClock.now - killed)
                try await cluster[leader].ended()
                try await cluster.restart(leader)
            }
            print("from kill to the next acknowledged write: \(gaps.sorted())")
            #expect(gaps.sorted()[rounds / 2] < .milliseconds(500), "\(gaps)")
            await client.shutdown()
        }
    }
}
