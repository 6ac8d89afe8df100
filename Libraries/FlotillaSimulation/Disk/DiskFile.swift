/// The contents of one file: what readers see, which the cache holds, and what is durable.
///
/// Both are kept in whole and share their memory as long as they are equal. A sector whose cached contents are not
/// durable is either dirty, so that a sync will write it, or stale: a sync has failed, and the system has forgotten
/// that it should still be written.
final class DiskFile {
    static let sectorBytes = 512

    /// Tells files apart, in the order of their creation.
    let number: Int
    /// What readers see.
    private(set) var cached: [UInt8] = []
    /// What a power failure leaves at least.
    private(set) var durable: [UInt8] = []
    /// The sectors that the next sync will write.
    private(set) var dirty = SectorSet()
    /// The sectors that no sync will write though they are not durable.
    private(set) var stale = SectorSet()
    /// The ranges that were written whole since the file was last filled with zeros, in the order of writing.
    private(set) var writes: [Range<Int>] = []
    /// The open file that holds the lock.
    var lock: Int32?

    init(number: Int) { self.number = number }

    /// The sectors that a range of bytes touches.
    static func sectors(_ bytes: Range<Int>) -> Range<Int> {
        bytes.isEmpty ? 0..<0 : bytes.lowerBound / sectorBytes..<(bytes.upperBound + sectorBytes - 1) / sectorBytes
    }

    /// Puts bytes into the cache. What lies between the end of the file and them reads as zeros.
    func put(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        guard !bytes.isEmpty else { return }
        grow(to: offset + bytes.count)
        cached.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: bytes) }
        touch(offset..<offset + bytes.count)
    }

    /// Fills the beginning of the file with zeros.
    func putZeros(count: Int) {
        if count >= cached.count {
            cached = [UInt8](repeating: 0, count: count)
        } else {
            cached.replaceSubrange(0..<count, with: repeatElement(0, count: count))
        }
        touch(0..<count)
    }

    /// Remembers that a range was written whole.
    func noteWrite(_ range: Range<Int>) { writes.append(range) }

    /// Forgets all writes, since the file begins anew.
    func forgetWrites() { writes = [] }

    /// Copies what a transfer past the cache reads over what a reader of the cache was given: stale sectors are as
    /// they are on the disk, since the system has nothing to write for them.
    func copyPastCache(_ range: Range<Int>, into memory: UnsafeMutableRawPointer) {
        for sector in stale.members {
            let part = extent(of: sector, limit: cached.count).clamped(to: range)
            for place in part {
                let byte = place < durable.count ? durable[place] : 0
                memory.storeBytes(of: byte, toByteOffset: place - range.lowerBound, as: UInt8.self)
            }
        }
    }

    /// Makes sectors durable as they are in the cache, and the length of the file.
    func makeDurable(_ sectors: SectorSet) {
        if sectors.count == Self.sectors(0..<cached.count).count {
            durable = cached
        } else {
            growDurable(to: cached.count)
            for sector in sectors.members { copyToDurable(extent(of: sector, limit: durable.count)) }
        }
        dirty.subtract(sectors)
    }

    /// Makes a range durable that was written just now.
    func makeDurable(_ range: Range<Int>) {
        let sectors = Self.sectors(range)
        let whole = sectors.lowerBound * Self.sectorBytes..<sectors.upperBound * Self.sectorBytes
        let part = whole.clamped(to: 0..<cached.count)
        growDurable(to: part.upperBound)
        copyToDurable(part)
        dirty.remove(sectors)
    }

    /// Lets the system forget that sectors should still be written.
    func forgetDirty(_ sectors: SectorSet) {
        stale.formUnion(sectors)
        dirty.subtract(sectors)
    }

    /// Whether a range is durable as it is in the cache.
    func isDurable(_ range: Range<Int>) -> Bool {
        let sectors = Self.sectors(range)
        return range.upperBound <= durable.count && !dirty.intersects(sectors) && !stale.intersects(sectors)
    }

    /// Changes bytes of the cache and of the disk alike, behind everybody's back.
    func damage(_ range: Range<Int>, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        cached.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[range])) }
        let part = range.clamped(to: 0..<durable.count)
        if part == range { copyToDurable(range) }
    }

    /// Leaves what a power failure leaves.
    ///
    /// - Parameters:
    ///   - size: the length that the file ends up with, from the durable to the cached one.
    ///   - kept: the dirty sectors that reached the disk.
    ///   - torn: a dirty sector of which only so many bytes did.
    func losePower(size: Int, kept: SectorSet, torn: (sector: Int, bytes: Int)?) {
        let before = cached
        let doubtful = writes.filter { !isDurable($0) }
        growDurable(to: size)
        for sector in kept.members { copyToDurable(extent(of: sector, limit: size)) }
        if let torn {
            let start = torn.sector * Self.sectorBytes
            copyToDurable((start..<start + torn.bytes).clamped(to: 0..<size))
        }
        cached = durable
        dirty = SectorSet()
        stale = SectorSet()
        lock = nil
        let lost = doubtful.filter { $0.upperBound > cached.count || cached[$0] != before[$0] }
        writes.removeAll { lost.contains($0) }
    }

    private func grow(to size: Int) {
        if cached.count < size { cached += [UInt8](repeating: 0, count: size - cached.count) }
    }

    private func growDurable(to size: Int) {
        if durable.count < size { durable += [UInt8](repeating: 0, count: size - durable.count) }
    }

    private func touch(_ range: Range<Int>) {
        let sectors = Self.sectors(range)
        dirty.insert(sectors)
        stale.remove(sectors)
    }

    private func extent(of sector: Int, limit: Int) -> Range<Int> {
        (sector * Self.sectorBytes..<(sector + 1) * Self.sectorBytes).clamped(to: 0..<limit)
    }

    private func copyToDurable(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        cached.withUnsafeBytes { source in
            durable.withUnsafeMutableBytes {
                UnsafeMutableRawBufferPointer(rebasing: $0[range]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[range]))
            }
        }
    }
}
