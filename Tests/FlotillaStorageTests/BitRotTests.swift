import FlotillaStorage
import FlotillaWire
import Testing

@Suite struct BitRotTests {
    /// Whatever is changed in a log behind whose last batch stands a seal is told with its file and place, and costs no
    /// more than the servers that it concerns; or it is told as harmless and changes nothing.
    private func expectNoticed(_ disk: MemoryFileSystem, _ small: SmallLog, around place: Int) async {
        do {
            let found = try await recover(disk)
            let damages = found.node.lost.compactMap(\.damage)
            #expect(!(found.node.report.harmless + damages).isEmpty, "byte \(place) was accepted silently")
            #expect(found.node.report.harmless.allSatisfy { $0.file == small.path })
            var rest = small.prefixes[small.prefixes.count - 1]
            rest.servers.removeAll { server in found.node.lost.contains { $0.uid == server.creation.uid } }
            #expect(found.values == rest, "byte \(place) changed something")
            if !damages.isEmpty { expectNear(damages, small, place) }
        } catch let error as StorageError {
            #expect(error.code == .corrupt || error.code == .wrongNode)
            #expect(!error.damages.isEmpty, "byte \(place)")
            expectNear(error.damages, small, place)
        } catch {
            Issue.record(error)
        }
    }

    private func expectNear(_ damages: [Damage], _ small: SmallLog, _ place: Int) {
        #expect(damages.allSatisfy { $0.file == small.path })
        let near = damages.contains { damage in
            Int(damage.offset) <= place && place < Int(damage.offset) + max(8_192, Int(damage.length))
        }
        #expect(near, "byte \(place): \(damages)")
    }

    @Test func aFlippedBitInAnyByteIsNoticed() async throws {
        let small = try await SmallLog.make(sealed: true)
        let contents = small.disk.contents(small.path)
        // The seal itself holds nothing: rot in it looks like a tear, and nothing is lost by it.
        let seal = small.offsets[small.offsets.count - 2]
        for place in 0..<seal where contents[place] != 0 || place % 128 == 5 || place % 4_096 < 64 {
            await expectNoticed(small.changed { $0[place] ^= 1 << UInt8(place % 8) }, small, around: place)
        }
    }

    @Test func aZeroedSectorBeforeTheEndIsNoticed() async throws {
        let small = try await SmallLog.make(sealed: true)
        let contents = small.disk.contents(small.path)
        let seal = small.offsets[small.offsets.count - 2]
        for sector in stride(from: 0, to: seal, by: 512)
        where contents[sector..<sector + 512].contains(where: { $0 != 0 }) {
            let rotten = small.changed { bytes in for place in sector..<sector + 512 { bytes[place] = 0 } }
            await expectNoticed(rotten, small, around: sector)
        }
    }

    @Test func aDamagedBodyKeepsItsIdentity() async throws {
        let small = try await SmallLog.make(sealed: true)
        // The third batch begins with one entry of 5,000 bytes.
        let body = small.offsets[2] + 32 + 32 + 24 + 40
        let found = try await recover(small.changed { $0[body + 2_000] ^= 4 })
        let damage = found.node.lost.first?.damage
        #expect(damage?.kind == .entryBody)
        #expect(damage?.server == Sample.uid(2))
        #expect(damage?.entries == 1...1)
        #expect(damage?.offset == UInt64(body - 40))
    }

    @Test func aFileThatIsShorterThanItWasMadeIsDamage() async throws {
        let small = try await SmallLog.make(sealed: true)
        let error = await #expect(throws: StorageError.self) {
            try await recover(small.changed { $0.removeLast(4_096) })
        }
        #expect(error?.damages.map(\.kind) == [.fileLength])
    }

    @Test func damageInTheHeaderIsMendedByItsCopy() async throws {
        let small = try await SmallLog.make(sealed: true)
        let found = try await recover(small.changed { bytes in for place in 0..<512 { bytes[place] = 0 } })
        #expect(found.values == small.prefixes[small.prefixes.count - 1])
        #expect(found.node.report.harmless.map(\.offset) == [0])
        let error = await #expect(throws: StorageError.self) {
            try await recover(small.changed { bytes in for place in 0..<4_096 { bytes[place] = 0 } })
        }
        #expect(error?.damages.first?.kind == .fileHeader)
    }
}
