import FlotillaWire

/// Which snapshots and checkpoints a server has.
///
/// A value that its owner keeps; whatever is done with files is done by background jobs, after which the owner tells
/// the set of it.
package struct SnapshotSet: Sendable, Equatable {
    /// How many checkpoints above the newest snapshot are kept.
    package static let maxCheckpoints = 10

    /// Where they are.
    package let directory: SnapshotDirectory
    /// All snapshots that can be read as far as it was looked, in ascending order of index and term.
    package private(set) var snapshots: [SnapshotFile] = []
    /// All such checkpoints, in the same order.
    package private(set) var checkpoints: [SnapshotFile] = []
    /// Files that have such a name and can't be read, in the same order; they tell no live indexes.
    package private(set) var damaged: [SnapshotFile] = []

    /// A set without any.
    package init(directory: SnapshotDirectory) { self.directory = directory }

    /// The same files as those of a cluster, now that it is known.
    package func belonging(to cluster: ClusterID) -> SnapshotSet {
        let owner = SnapshotDirectory(path: directory.path, server: directory.server, cluster: cluster)
        var set = SnapshotSet(directory: owner)
        set.snapshots = snapshots.map { $0.moved(to: owner) }
        set.checkpoints = checkpoints.map { $0.moved(to: owner) }
        set.damaged = damaged.map { $0.moved(to: owner) }
        return set
    }

    /// The snapshot from which the server starts.
    package var newestSnapshot: SnapshotFile? { snapshots.last }

    /// The checkpoint that may be promoted when nothing through `index` is needed any more.
    package func newestCheckpoint(atOrBelow index: LogIndex) -> SnapshotFile? {
        checkpoints.last { $0.index <= index }
    }

    /// Adds a file that was written, received or promoted; it takes the place of one of the same name.
    package mutating func insert(_ file: SnapshotFile) {
        remove([file])
        switch file.kind {
        case .snapshot: Self.insert(file, into: &snapshots)
        case .checkpoint: Self.insert(file, into: &checkpoints)
        }
    }

    /// Adds a file that can't be read.
    mutating func insertDamaged(_ file: SnapshotFile) {
        remove([file])
        Self.insert(file, into: &damaged)
    }

    /// Takes files out that were removed, or promoted under another name.
    package mutating func remove(_ files: [SnapshotFile]) {
        for file in files {
            snapshots.removeAll { $0.name == file.name }
            checkpoints.removeAll { $0.name == file.name }
            damaged.removeAll { $0.name == file.name }
        }
    }

    private static func insert(_ file: SnapshotFile, into list: inout [SnapshotFile]) {
        let place = list.firstIndex { ($0.index, $0.term) > (file.index, file.term) } ?? list.endIndex
        list.insert(file, at: place)
    }
}

// MARK: - What is not needed

extension SnapshotSet {
    /// The files that nobody needs any more: snapshots older than the newest, checkpoints at or below it, damaged files
    /// that it supersedes, and of the other checkpoints those beyond `maxCheckpoints`.
    ///
    /// - Parameter inUse: files that somebody reads, which are never among them.
    package func obsolete(keeping inUse: [SnapshotFile] = []) -> [SnapshotFile] {
        guard let newest = newestSnapshot else { return surplus(of: checkpoints, above: .zero, keeping: inUse) }
        let superseded =
            snapshots.dropLast() + damaged.filter { $0.index <= newest.index }
            + checkpoints.filter { $0.index <= newest.index }
        let above = checkpoints.filter { $0.index > newest.index }
        return superseded.filter { !inUse.contains($0) } + surplus(of: above, above: newest.index, keeping: inUse)
    }

    /// Which of too many checkpoints go: again and again the one that is missed least.
    private func surplus(
        of checkpoints: [SnapshotFile], above floor: LogIndex, keeping inUse: [SnapshotFile]
    ) -> [SnapshotFile] {
        var rest = checkpoints
        var surplus: [SnapshotFile] = []
        while rest.count > Self.maxCheckpoints, let place = leastMissed(in: rest, above: floor, keeping: inUse) {
            surplus.append(rest.remove(at: place))
        }
        return surplus
    }

    /// The checkpoint whose loss leaves the smallest gap, measured by how far it is behind the newest. So the newest
    /// stay close together and older ones are thinned out, the more the older they are; the newest itself always stays.
    private func leastMissed(
        in checkpoints: [SnapshotFile], above floor: LogIndex, keeping inUse: [SnapshotFile]
    ) -> Int? {
        guard let newest = checkpoints.last else { return nil }
        var best: (place: Int, gap: UInt128, age: UInt128)?
        for place in checkpoints.indices.dropLast() where !inUse.contains(checkpoints[place]) {
            let before = place == 0 ? floor : checkpoints[place - 1].index
            let gap = UInt128(checkpoints[place + 1].index.rawValue - before.rawValue)
            let age = UInt128(newest.index.rawValue - checkpoints[place].index.rawValue)
            // Compares gap / age with that of the best; no product of two indexes has more than 128 bits.
            if let best, gap * best.age >= best.gap * age { continue }
            best = (place, gap, age)
        }
        return best?.place
    }
}
