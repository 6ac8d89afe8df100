import FlotillaStorage
import FlotillaWire
import Testing

@Suite struct TornTailTests {
    @Test func aLogCutAtAnyByteHoldsExactlyTheBatchesThatAreWhole() async throws {
        let small = try await SmallLog.make(sealed: false)
        let whole = small.disk.contents(small.path)
        let end = small.offsets[small.offsets.count - 1]
        for cut in stride(from: small.offsets[2], through: end, by: 1) {
            // In the zeros that end a block every cut is the same; a few are enough.
            if cut % 4_096 > 700, cut % 512 != 0 { continue }
            let torn = small.changed { bytes in for place in cut..<end { bytes[place] = 0 } }
            let contents = torn.contents(small.path)
            let intact = (0..<small.offsets.count - 1).prefix { batch in
                let range = small.offsets[batch]..<small.offsets[batch + 1]
                return contents[range] == whole[range]
            }
            let found = try await recover(torn)
            #expect(found.values == small.prefixes[intact.count], "cut at \(cut)")
        }
    }

    @Test func aTornBatchIsDroppedWholeWithTheGoodRecordsInIt() async throws {
        let small = try await SmallLog.make(sealed: false)
        let last = small.offsets[small.offsets.count - 2]
        let torn = small.changed { $0[last + 32 + 32 + 8 + 60] ^= 1 }
        let found = try await recover(torn)
        #expect(found.values == small.prefixes[small.prefixes.count - 2])
        #expect(found.node.report.tornBytes == 4_096)
    }

    @Test func everyZeroedSectorOfTheLastBatchGivesThePrefixBeforeIt() async throws {
        let small = try await SmallLog.make(sealed: false)
        let end = small.offsets[small.offsets.count - 1]
        let whole = small.disk.contents(small.path)
        for sector in stride(from: small.offsets[small.offsets.count - 2], to: end, by: 512) {
            let torn = small.changed { bytes in for place in sector..<sector + 512 { bytes[place] = 0 } }
            let isIntact = torn.contents(small.path) == whole
            let expected = small.prefixes[small.prefixes.count - (isIntact ? 1 : 2)]
            #expect(try await recover(torn).values == expected)
        }
    }

    @Test func afterATornTailTheLogGoesOnInAFreshFileAndItIsNeverReadAgain() async throws {
        let small = try await SmallLog.make(sealed: false)
        let last = small.offsets[small.offsets.count - 2]
        let torn = small.changed { $0[last + 100] ^= 0xff }
        let found = try await recover(torn)
        let log = try await TestLog(on: found.disk, start: found.node.start)
        await log.write(Sample.entries(2, 2...2, term: 5, epoch: 1))
        #expect(log.disk.contents(log.path(1)) == torn.contents(small.path))
        let again = try await recover(log.disk)
        #expect(again.values.servers[1].last == 2)
        #expect(again.values.servers[1].runs == [1, 1, 2, 5])
        // Even if the torn batch were readable after all, it was given up, and its successor has its number.
        log.disk.change(log.path(1)) { $0[last + 100] ^= 0xff }
        #expect(try await recover(log.disk).values == again.values)
    }

    @Test func aSealTellsRotInTheLastBatchFromATear() async throws {
        let open = try await SmallLog.make(sealed: false)
        let last = open.offsets[open.offsets.count - 2]
        #expect(try await recover(open.changed { $0[last + 40] ^= 1 }).node.report.tornBytes > 0)
        let sealed = try await SmallLog.make(sealed: true)
        let error = await #expect(throws: StorageError.self) {
            try await recover(sealed.changed { $0[last + 40] ^= 1 })
        }
        #expect(error?.damages.first?.file == sealed.path)
        #expect(error?.damages.first?.offset == UInt64(last + 32))
    }
}
