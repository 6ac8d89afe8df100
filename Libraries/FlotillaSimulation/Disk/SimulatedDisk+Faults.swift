import FlotillaStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Harm that is done to a disk from outside.
extension SimulatedDisk {
    /// Lets the next sync, or durable write, fail with EIO.
    ///
    /// - Parameter marksClean: whether the system forgets what it could not write: readers still see it, later syncs
    ///   succeed without writing it, and a power failure loses it.
    package func failNextSync(marksClean: Bool) { planned.planSync(marksClean ? .marksClean : .staysDirty) }

    /// Lets the next write fail; any of its sectors may have been written.
    package func failNextWrite(_ errno: Int32 = EIO) { planned.planWrite(errno) }

    /// Lets the next read fail with EIO.
    package func failNextRead() { planned.planRead() }

    /// Turns a bit over, for readers and on the disk. The file must reach that far.
    package func flipBit(_ path: String, offset: Int, bit: Int) {
        guard let file = file(at: path) else { return }
        file.damage(offset..<offset + 1) { $0[0] ^= 1 << UInt8(bit & 7) }
        counts.flippedBits += 1
    }

    /// Makes a range zeros again, as if what was written there had never arrived. The file must reach that far.
    package func loseWrite(_ path: String, offset: Int, count: Int) {
        guard let file = file(at: path) else { return }
        file.damage(offset..<offset + count) { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
        counts.lostWrites += 1
    }

    /// Copies a range over another place, as if it had been written there. The file must reach that far.
    package func misdirect(_ path: String, from source: Int, to target: Int, count: Int) {
        guard let file = file(at: path) else { return }
        let bytes = Array(file.cached[source..<source + count])
        file.damage(target..<target + count) { $0.copyBytes(from: bytes) }
        counts.misdirectedWrites += 1
    }
}

/// The ways in which what was once durable goes bad.
package enum DiskDamage: CaseIterable, Sendable {
    /// One bit turns over.
    case flippedBit
    /// A write turns out never to have arrived.
    case lostWrite
    /// The beginning of one write turns out to have arrived at the place of another.
    case misdirectedWrite
}

/// Damage at a place where it can be told from a write that was cut off.
extension SimulatedDisk {
    /// Damages a write-ahead log somewhere in what was durable, but never in the last write into a file nor behind it:
    /// nobody could tell damage there from a power failure.
    ///
    /// - Returns: what was done, for people; `nil` when there is no such place.
    package func damageAtRest(_ kind: DiskDamage, using random: inout Randomness) -> String? {
        let victims = names.files.filter { Self.isLogFile($0.path) }.flatMap { path, file in
            Self.damageable(file).map { (path: path, file: file, range: $0) }
        }
        guard !victims.isEmpty else { return nil }
        let victim = random.pick(victims)
        let offset = victim.range.lowerBound
        switch kind {
        case .flippedBit:
            let place = random.number(offset...victim.range.upperBound - 1)
            let bit = random.number(0...7)
            flipBit(victim.path, offset: place, bit: bit)
            return "bit \(bit) of byte \(place) of \(victim.path) flipped"
        case .lostWrite:
            loseWrite(victim.path, offset: offset, count: victim.range.count)
            return "the write of \(victim.range.count) bytes at \(offset) of \(victim.path) lost"
        case .misdirectedWrite:
            let others = victim.file.writes.filter { !$0.overlaps(victim.range) }
            guard !others.isEmpty else { return nil }
            let source = random.pick(others)
            let count = min(source.count, victim.range.count)
            misdirect(victim.path, from: source.lowerBound, to: offset, count: count)
            return "\(count) bytes at \(source.lowerBound) of \(victim.path) written to \(offset) again"
        }
    }

    /// Turns over a bit of a segment or a snapshot, wherever it has been written.
    ///
    /// - Returns: what was done, for people; `nil` when there is none.
    package func damageServerFile(using random: inout Randomness) -> String? {
        let victims = names.files.filter { Self.isServerFile($0.path) }.flatMap { path, file in
            file.writes.filter { file.isDurable($0) && !$0.isEmpty }.map { (path: path, range: $0) }
        }
        guard !victims.isEmpty else { return nil }
        let victim = random.pick(victims)
        let place = random.number(victim.range.lowerBound...victim.range.upperBound - 1)
        let bit = random.number(0...7)
        flipBit(victim.path, offset: place, bit: bit)
        return "bit \(bit) of byte \(place) of \(victim.path) flipped"
    }

    private static func isServerFile(_ path: String) -> Bool {
        path.hasSuffix(".seg") || path.hasSuffix(".snap")
    }

    private static func isLogFile(_ path: String) -> Bool {
        path.hasSuffix(".wal") && DiskNames.name(of: DiskNames.parent(of: path)) == "wal"
    }

    /// The durable writes into a file, behind its header and before the last one that shows them to have been durable.
    private static func damageable(_ file: DiskFile) -> [Range<Int>] {
        let durable = file.writes.filter { file.isDurable($0) && $0.lowerBound >= 4_096 }
        guard let last = durable.last else { return [] }
        return durable.dropLast().filter { $0.upperBound <= last.lowerBound }
    }
}
