import FlotillaWire

/// The version of the segment format, and where segment files stand.
///
/// A segment file is written once, whole, and never changed. It has four parts:
///
/// | offset | part |
/// | --- | --- |
/// | 0 | a block of 4096 bytes: the `SegmentHeader`, then zeros |
/// | 4096 | the encoded entries, back to back, in ascending order of their indexes |
/// | behind them | the tail: where each entry stands and what it is, see `SegmentIndex` |
/// | behind it | the `SegmentHeader` once more |
///
/// A reader refuses an unknown major version; what a newer minor version adds, it skips.
package enum SegmentFormat {
    static let major: UInt16 = 1
    static let minor: UInt16 = 0
    /// Where the entries begin.
    package static let entriesOffset = 4_096
    private static let suffix = ".seg"

    /// The directory of a server's files inside the directory of all servers.
    package static func directory(of uid: ServerUID, in servers: String) -> String { "\(servers)/\(uid)" }

    /// The name of a segment's file: sixteen lower-case hexadecimal digits of its number.
    package static func fileName(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + suffix
    }

    /// The number that a file's name says; `nil` for a name that is not a segment's.
    package static func number(ofFile name: String) -> UInt64? {
        guard name.hasSuffix(suffix), name.utf8.count == 20,
            let number = UInt64(name.dropLast(suffix.utf8.count), radix: 16), number > 0, number < UInt64.max,
            fileName(number) == name
        else { return nil }
        return number
    }
}

/// How large segments become.
package struct SegmentLimits: Sendable, Equatable {
    /// How many bytes of entries one holds, unless a single entry is longer.
    package var maxBytes: Int
    /// How many entries one holds (`segment-max-entries`).
    package var maxEntries: Int

    /// These limits.
    package init(maxBytes: Int = 64 << 20, maxEntries: Int = 32_768) {
        self.maxBytes = maxBytes
        self.maxEntries = maxEntries
    }

    /// Refuses what makes no sense, naming the setting as users know it.
    package func validate() throws(StorageError) {
        guard maxEntries >= 1, maxEntries <= 1 << 24 else {
            throw StorageError(.setting, "the setting segment-max-entries is \(maxEntries), not in 1 ... \(1 << 24)")
        }
        guard maxBytes >= EntryHeader.byteCount, maxBytes <= 1 << 30 else {
            throw StorageError(
                .setting, "a segment of \(maxBytes) bytes, not in \(EntryHeader.byteCount) ... \(1 << 30)")
        }
    }

    /// As much as the format can tell: what is copied from segments of other limits is not split.
    static let format = SegmentLimits(maxBytes: 2 << 30, maxEntries: 1 << 24)
}
