import ArgumentParser

/// Some seeds in a row, written as `7` or `1..2000`.
struct SeedRange: ExpressibleByArgument, Equatable {
    var first: UInt64
    var last: UInt64

    init(first: UInt64, last: UInt64) {
        self.first = first
        self.last = last
    }

    init?(argument: String) {
        let parts = argument.split(separator: ".", omittingEmptySubsequences: false)
        switch parts.count {
        case 1:
            guard let seed = UInt64(parts[0]) else { return nil }
            self.init(first: seed, last: seed)
        case 3:
            guard parts[1].isEmpty, let first = UInt64(parts[0]), let last = UInt64(parts[2]), first <= last else {
                return nil
            }
            self.init(first: first, last: last)
        default: return nil
        }
    }

    var count: UInt64 { last - first + 1 }
    var defaultValueDescription: String { "\(first)..\(last)" }
}
