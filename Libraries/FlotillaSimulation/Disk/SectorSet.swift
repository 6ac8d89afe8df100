/// A set of sectors of one file, by their numbers; its members come in ascending order.
struct SectorSet: Equatable {
    private var words: [UInt64] = []

    /// Whether there is none.
    var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// How many there are.
    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// All of them, in ascending order.
    var members: [Int] {
        var members: [Int] = []
        for (place, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                members.append(place * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
        return members
    }

    /// Whether a sector is in it.
    func contains(_ sector: Int) -> Bool {
        sector >> 6 < words.count && words[sector >> 6] & (1 << UInt64(sector & 63)) != 0
    }

    /// Whether any sector of a range is in it.
    func intersects(_ sectors: Range<Int>) -> Bool { sectors.contains { contains($0) } }

    /// Adds a range of sectors.
    mutating func insert(_ sectors: Range<Int>) {
        guard let last = sectors.last else { return }
        while words.count <= last >> 6 { words.append(0) }
        for sector in sectors { words[sector >> 6] |= 1 << UInt64(sector & 63) }
    }

    /// Takes a range of sectors out.
    mutating func remove(_ sectors: Range<Int>) {
        for sector in sectors.clamped(to: 0..<words.count * 64) { words[sector >> 6] &= ~(1 << UInt64(sector & 63)) }
    }

    /// Adds all sectors of another set.
    mutating func formUnion(_ other: SectorSet) {
        while words.count < other.words.count { words.append(0) }
        for place in other.words.indices { words[place] |= other.words[place] }
    }

    /// Takes all sectors of another set out.
    mutating func subtract(_ other: SectorSet) {
        for place in words.indices where place < other.words.count { words[place] &= ~other.words[place] }
    }
}
