import FlotillaWire

/// The version of the snapshot files' format. A reader refuses an unknown major version; what a newer minor version
/// adds to the metadata, it skips.
///
/// A file is a header, the metadata, blocks without padding between them, and one end block that fills the file to its
/// last byte. Nothing follows and nothing may be missing: a file without a right end block is not a snapshot.
///
/// The blocks stand in the order of their kinds: first the live indexes, so that they can be read without the state,
/// then sessions, then the machine's state. All numbers are little-endian.
enum SnapshotFormat {
    static let major: UInt16 = 1
    static let minor: UInt16 = 0
    /// The longest payload of a block.
    static let pieceBytesMax = (16 << 20) + (64 << 10)
    /// The longest metadata: fifteen members with the longest names have less than a quarter of it.
    static let metadataBytesMax = 64 << 10
    /// The longest file that is written, read or received.
    static let fileBytesMax: UInt64 = 1 << 40
    /// The shortest file that can hold a snapshot.
    static let fileBytesMin = UInt64(SnapshotHeader.byteCount + SnapshotEnd.byteCount)
    /// How many bytes one transfer from or to a file has at most.
    static let transferBytes = 1 << 20
    /// What a file is called before it is whole ends with this.
    static let temporarySuffix = ".tmp"

    /// The name of a snapshot that comes from another node, until it is whole and verified.
    static func incomingName(_ index: LogIndex, _ term: Term) -> String {
        "incoming-\(digits(index.rawValue))-\(digits(term.rawValue))" + temporarySuffix
    }

    /// Whether a name is that of a snapshot that was never finished.
    static func isUnfinished(_ name: String) -> Bool {
        name.hasSuffix(temporarySuffix)
            && (name.hasPrefix("incoming-") || SnapshotKind.allCases.contains { name.hasPrefix("\($0)-") })
    }

    /// Sixteen lower-case hexadecimal digits.
    static func digits(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
