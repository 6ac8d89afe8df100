/// How often a simulated disk has done each kind of harm.
package struct DiskFaultCounts: Equatable, Sendable {
    /// Syncs and durable writes that were failed.
    package var failedSyncs = 0
    /// Writes that were failed.
    package var failedWrites = 0
    /// Reads that were failed.
    package var failedReads = 0
    /// Operations that were refused because the disk was full.
    package var refusedForSpace = 0
    /// Times that the disk stood still.
    package var stalls = 0
    /// Operations that were in flight when their process ended.
    package var cutOffOperations = 0
    /// Power failures.
    package var powerLosses = 0
    /// Sectors that a power failure took back to what was durable.
    package var lostSectors = 0
    /// Sectors that a power failure left half new.
    package var tornSectors = 0
    /// Creations, renames and removals that a power failure undid.
    package var lostNameChanges = 0
    /// Times that the disk was emptied.
    package var wipes = 0
    /// Bits that turned over at rest.
    package var flippedBits = 0
    /// Ranges that turned out never to have been written.
    package var lostWrites = 0
    /// Ranges that turned out to hold what belongs elsewhere.
    package var misdirectedWrites = 0

    /// No harm.
    package init() {}
}
