import FlotillaStorage

/// How a simulated disk behaves when nothing is wrong with it.
package struct DiskSettings: Equatable, Sendable {
    /// How long it takes to look up, open, close, name, rename, remove or lock something.
    package var metadataNanoseconds: ClosedRange<UInt64> = 2_000...40_000
    /// How long a read takes.
    package var readNanoseconds: ClosedRange<UInt64> = 5_000...100_000
    /// How long a write into the cache takes.
    package var writeNanoseconds: ClosedRange<UInt64> = 5_000...60_000
    /// How long a sync, a durable write or the filling of a file with zeros takes.
    package var syncNanoseconds: ClosedRange<UInt64> = 50_000...2_000_000
    /// Whether files can be opened for transfers past the cache; if not, that is refused with EINVAL.
    package var takesDirect = true
    /// Whether a power failure may leave a sector half old and half new.
    package var tearsSectors = true

    /// An ordinary disk.
    package init() {}

    /// The range that the duration of an operation is drawn from.
    func duration(of operation: FileOperation, isDurable: Bool) -> ClosedRange<UInt64> {
        switch operation {
        case .read: readNanoseconds
        case .write: isDurable ? syncNanoseconds : writeNanoseconds
        case .zeroFill, .writeOut, .syncData, .syncAll, .syncDirectory: syncNanoseconds
        case .open, .close, .rename, .remove, .list, .makeDirectory, .removeDirectory, .size, .lock: metadataNanoseconds
        }
    }
}
