import FlotillaWire

/// What is kept in memory of one segment file.
package struct Segment: Sendable, Equatable {
    /// Why a segment was written.
    package enum Kind: Sendable, Equatable {
        /// It holds entries of the log as they were in memory.
        case flushed
        /// It holds what was left of older segments: all whose order is in the range and whose number is lower.
        case compacted(replaces: ClosedRange<UInt64>)
        /// It came with the snapshot of this last entry.
        case installed(index: LogIndex, term: Term)
    }

    /// A stretch of entries of one term; it ends where the next run begins.
    package struct TermRun: Sendable, Hashable {
        /// The index of its first entry.
        package var first: LogIndex
        /// The term of its entries.
        package var term: Term

        /// A run that begins at `first`.
        package init(first: LogIndex, term: Term) {
            self.first = first
            self.term = term
        }
    }

    /// A configuration among the entries.
    package struct StoredConfiguration: Sendable, Equatable {
        /// The index of its entry.
        package var index: LogIndex
        /// The members from there on.
        package var configuration: ClusterConfiguration

        /// The configuration of an entry.
        package init(index: LogIndex, configuration: ClusterConfiguration) {
            self.index = index
            self.configuration = configuration
        }
    }

    /// Which entries of older segments one hides: those of other indexes were not there when it was written, or are
    /// still right.
    package struct Hiding: Sendable, Equatable {
        /// Entries up to this one are hidden; zero for none.
        package var through: LogIndex = .zero
        /// Entries from this one on are hidden; `never` for none.
        package var from = Hiding.never

        /// Behind every entry.
        package static let never = LogIndex(UInt64.max)
        /// Hides nothing.
        package static let nothing = Hiding()

        /// Hides what either hides.
        func union(_ other: Hiding) -> Hiding {
            Hiding(through: max(through, other.through), from: min(from, other.from))
        }
    }

    /// The server that it belongs to.
    package var uid: ServerUID
    /// The number in its file's name.
    package var number: UInt64
    /// Why it was written.
    package var kind: Kind
    /// Tells it from another file that had the same number.
    package var salt: UInt64
    /// The index of its first entry.
    package var first: LogIndex
    /// The index of its last entry.
    package var last: LogIndex
    /// How many entries it holds.
    package var count: Int
    /// How many bytes these take.
    package var entryBytes: Int
    /// How many bytes the file takes.
    package var fileBytes: UInt64
    /// Which entries of older segments it hides.
    package var hiding: Hiding
    /// The terms of its entries.
    package var termRuns: [TermRun]
    /// The configurations among its entries.
    package var configurations: [StoredConfiguration]
    /// The leader's time in its last entry, in nanoseconds since 1970.
    package var lastTime: UInt64
    /// Whether its entries can be found. One that is damaged too much shows nothing, but still hides.
    package var isReadable: Bool

    /// Which of two segments is newer: the one of the higher order.
    package var order: UInt64 { kind.order(number: number) }

    /// Whether its entries have consecutive indexes.
    package var isDense: Bool { last - first == count - 1 }
}

extension Segment.Kind {
    /// The order of a segment of this kind with a number.
    func order(number: UInt64) -> UInt64 {
        if case .compacted(let replaces) = self { return replaces.lowerBound }
        return number
    }
}

extension Segment {
    /// The segment of a header and, unless that could not be read, an index.
    init(_ header: SegmentHeader, _ index: SegmentIndex?) {
        self.init(
            uid: header.uid, number: header.number, kind: header.kind, salt: header.salt, first: header.first,
            last: header.last, count: Int(header.count), entryBytes: Int(header.entryBytes),
            fileBytes: header.fileLength, hiding: header.hiding, termRuns: index?.termRuns ?? [],
            configurations: index?.configurations ?? [], lastTime: index?.lastTime ?? 0, isReadable: index != nil)
    }
}

/// Some entries of a segment: those in the range that it holds.
package struct SegmentSlice: Sendable, Equatable {
    /// The segment.
    package var segment: Segment
    /// The indexes.
    package var range: ClosedRange<LogIndex>

    /// The entries of a segment in a range.
    package init(segment: Segment, range: ClosedRange<LogIndex>) {
        self.segment = segment
        self.range = range
    }
}

/// What an entry is, by which the right bytes can be recognised wherever they come from.
package struct EntryIdentity: Sendable, Hashable {
    /// Where it stands.
    package var index: LogIndex
    /// The term of the leader that made it.
    package var term: Term
    /// CRC32C of its body.
    package var bodyChecksum: UInt32

    /// An identity of these parts.
    package init(index: LogIndex, term: Term, bodyChecksum: UInt32) {
        self.index = index
        self.term = term
        self.bodyChecksum = bodyChecksum
    }
}
