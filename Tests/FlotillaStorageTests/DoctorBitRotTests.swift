import FlotillaStorage
import FlotillaWire
import Testing

/// One bit of any file, drawn at random.
@Suite struct DoctorBitRotTests {
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `a flipped bit is told of its file, or lies where it does not matter`(seed: UInt64) async throws {
        let disk = try await DoctorDisk.make()
        let paths = disk.disk.paths.filter { !disk.disk.contents($0).isEmpty }
        var random = SplitMix(state: seed)
        for round in 0..<400 {
            let path = paths[Int(random.next() % UInt64(paths.count))]
            let bytes = disk.disk.contents(path)
            var place = Int(random.next() % UInt64(bytes.count))
            // Most of a write-ahead log is zeros; every other time something is hit that is not.
            if round % 2 == 0, let used = bytes[place...].firstIndex(where: { $0 != 0 }) { place = used }
            let bit = UInt8(1) << UInt8(random.next() % 8)
            let said = try await disk.changed(path) { $0[place] ^= bit }.examine()
            let comment: Comment = "seed \(seed): bit \(bit) of byte \(place) of \(path): \(said.findings)"
            #expect(said.changes.isEmpty, comment)
            // The minor version is nobody's business.
            let isSilent = path.hasSuffix("/highest") && (10..<12).contains(place)
            #expect(said.findings.isEmpty == isSilent, comment)
            #expect(isSilent || said.findings.contains { $0.file == path }, comment)
        }
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
