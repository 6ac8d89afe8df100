import FlotillaKernel
import FlotillaStorage

/// What was met in a world, or in many: what went wrong in it, and which states it came through.
package struct Report: Equatable, Sendable {
    package var worlds = 0
    package var virtualNanoseconds: UInt64 = 0
    package var happenings: UInt64 = 0
    package var faults: [String: Int] = [:]

    package var attempts = 0
    package var answers = 0
    package var unknown = 0
    package var followerReads = 0
    /// Client sessions that were begun, and rejections because one had ended.
    package var sessions = 0
    package var expiredSessions = 0
    /// Copies of commands that were sent while they were open, and when nobody waited for them any more.
    package var copies = 0
    package var ghosts = 0
    /// Entries by which machines were told of timers, sessions and nodes.
    package var machineEvents: UInt64 = 0
    /// The versions by which machines have risen, and servers whose code was too old for a while.
    package var versionsRisen: UInt64 = 0
    package var oldServers = 0

    package var elections = 0
    package var preVotes: UInt64 = 0
    package var candidacies: UInt64 = 0
    package var truncations = 0
    package var configurations = 0
    package var configurationsUndone = 0
    package var recoveries = 0
    package var tornTails = 0
    package var refusedStarts = 0
    /// Servers that were found damaged, and members that a leader put new ones in the place of.
    package var lostServers = 0
    package var replacedMembers = 0
    /// Reads of servers' files that the file system refused.
    package var failedReads = 0
    /// Damaged entries that were fetched from other members.
    package var repairedEntries = 0
    package var logFailures = 0
    package var slowDisks = 0
    package var leadershipsLeft: UInt64 = 0
    package var hungDisks = 0
    package var segmentsWritten: UInt64 = 0
    package var segmentsRemoved: UInt64 = 0
    package var segmentsRewritten: UInt64 = 0
    package var snapshotsWritten: UInt64 = 0
    package var snapshotsInstalled: UInt64 = 0
    package var entriesFetched: UInt64 = 0
    package var undecidedHistories = 0
    package var configurationsSearched = 0
    /// The longest that clusters took to serve again after the last fault, in nanoseconds.
    package var slowestRecovery: UInt64 = 0

    package init() {}

    mutating func note(_ counters: ServerCounters) {
        preVotes += counters.preVotes
        candidacies += counters.elections
        segmentsWritten += counters.segmentsWritten
        segmentsRemoved += counters.segmentsRemoved
        segmentsRewritten += counters.segmentsRewritten
        snapshotsWritten += counters.snapshotsWritten
        snapshotsInstalled += counters.snapshotsInstalled
        entriesFetched += counters.entriesFetched
        leadershipsLeft += counters.leadershipsLeft
        machineEvents += counters.machineEvents
    }

    mutating func note(_ recovery: RecoveryReport) {
        recoveries += 1
        if recovery.tornBytes > 0 { tornTails += 1 }
    }

    mutating func note(_ disk: DiskFaultCounts) {
        count("syncs failed", disk.failedSyncs)
        count("disks that stood still", disk.stalls)
        count("writes failed", disk.failedWrites)
        count("reads failed", disk.failedReads)
        count("operations refused for space", disk.refusedForSpace)
        count("operations cut off", disk.cutOffOperations)
        count("unsynced sectors lost", disk.lostSectors)
        count("sectors torn", disk.tornSectors)
        count("names undone", disk.lostNameChanges)
        count("bits flipped", disk.flippedBits)
        count("writes lost", disk.lostWrites)
        count("writes misdirected", disk.misdirectedWrites)
    }

    mutating func count(_ kind: String, _ number: Int = 1) {
        if number > 0 { faults[kind, default: 0] += number }
    }

    /// The states that a good campaign comes through, and how often it did.
    package var coverage: [(state: String, count: Int)] {
        [
            ("pre-votes", Int(preVotes)),
            ("candidacies", Int(candidacies)),
            ("elections won", elections),
            ("logs truncated", truncations),
            ("configurations adopted", configurations),
            ("configurations undone", configurationsUndone),
            ("recoveries of a data directory", recoveries),
            ("recoveries with a torn tail", tornTails),
            ("damaged logs refused", refusedStarts),
            ("damaged servers left out", lostServers),
            ("lost members replaced", replacedMembers),
            ("reads that failed and were repeated", failedReads),
            ("damaged entries fetched from other members", repairedEntries),
            ("logs failed while running", logFailures),
            ("disks that were found too slow", slowDisks),
            ("leaders that stepped aside for a stalled disk", Int(leadershipsLeft)),
            ("nodes ended by a hung disk", hungDisks),
            ("segments written", Int(segmentsWritten)),
            ("segments removed", Int(segmentsRemoved)),
            ("segments rewritten", Int(segmentsRewritten)),
            ("snapshots written", Int(snapshotsWritten)),
            ("snapshots installed", Int(snapshotsInstalled)),
            ("entries read from segments", Int(entriesFetched)),
            ("queries answered by followers", followerReads), ("sessions begun", sessions),
            ("rejections for a session that ended", expiredSessions), ("commands sent once more", copies),
            ("commands sent when nobody waited", ghosts), ("machines told of timers and sessions", Int(machineEvents)),
            ("versions that machines rose by", Int(versionsRisen)), ("servers whose code was too old", oldServers),
            ("configurations searched in histories", configurationsSearched),
            ("histories left undecided", undecidedHistories),
        ]
    }

    /// Adds what was met elsewhere.
    package mutating func add(_ other: Report) {
        worlds += other.worlds
        virtualNanoseconds += other.virtualNanoseconds
        happenings += other.happenings
        for (kind, number) in other.faults { count(kind, number) }
        attempts += other.attempts
        answers += other.answers
        unknown += other.unknown
        followerReads += other.followerReads
        sessions += other.sessions
        expiredSessions += other.expiredSessions
        copies += other.copies
        ghosts += other.ghosts
        machineEvents += other.machineEvents
        versionsRisen += other.versionsRisen
        oldServers += other.oldServers
        elections += other.elections
        preVotes += other.preVotes
        candidacies += other.candidacies
        truncations += other.truncations
        configurations += other.configurations
        configurationsUndone += other.configurationsUndone
        recoveries += other.recoveries
        tornTails += other.tornTails
        refusedStarts += other.refusedStarts
        lostServers += other.lostServers
        replacedMembers += other.replacedMembers
        failedReads += other.failedReads
        repairedEntries += other.repairedEntries
        logFailures += other.logFailures
        slowDisks += other.slowDisks
        leadershipsLeft += other.leadershipsLeft
        hungDisks += other.hungDisks
        segmentsWritten += other.segmentsWritten
        segmentsRemoved += other.segmentsRemoved
        segmentsRewritten += other.segmentsRewritten
        snapshotsWritten += other.snapshotsWritten
        snapshotsInstalled += other.snapshotsInstalled
        entriesFetched += other.entriesFetched
        undecidedHistories += other.undecidedHistories
        configurationsSearched += other.configurationsSearched
        slowestRecovery = max(slowestRecovery, other.slowestRecovery)
    }
}
