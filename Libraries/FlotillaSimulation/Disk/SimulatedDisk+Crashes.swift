import FlotillaStorage

/// What becomes in a power failure of what is not durable.
package enum UnsyncedFate: Sendable {
    /// Each power failure loses all, none or parts of it.
    case byChance
    /// All of it is lost, and no sector is torn.
    case lost
}

/// The ends of processes, and of power.
extension SimulatedDisk {
    /// Ends what a process does through a mount: each of its operations in flight happens, does not happen or, if it
    /// is a write, happens in part; all of them, and all that are submitted later, fail. Its files are closed and its
    /// locks let go. What has been written stays in the cache.
    package func processEnded(_ mount: DiskMount) { end([mount.number]) }

    /// Ends all processes that use the disk.
    package func endProcesses() { end(livingMounts) }

    /// Cuts the power: ends all processes, and loses what is not durable, or parts of it.
    package func losePower(unsynced: UnsyncedFate = .byChance) {
        endProcesses()
        counts.powerLosses += 1
        // The contents first, while all files that may survive can be found by the names that lead to them.
        switch unsynced {
        case .byChance:
            loseContents(mode: random.number(0...2), torn: chooseTorn(names.allFiles))
            counts.lostNameChanges += names.losePower(mode: random.number(0...3), &random)
        case .lost:
            loseContents(mode: 0, torn: nil)
            counts.lostNameChanges += names.losePower(mode: 0, &random)
        }
    }

    /// Replaces the disk by an empty one; ends all processes.
    package func wipe() {
        endProcesses()
        counts.wipes += 1
        names = DiskNames()
    }

    private func end(_ mounts: [Int]) {
        for mount in mounts where bury(mount) {
            for number in jobs.keys.sorted() {
                guard let job = jobs[number], job.mount == mount else { continue }
                jobs[number] = nil
                counts.cutOffOperations += 1
                leaveToChance(job)
                deliverFailure(of: job)
            }
            for number in handles.keys.sorted() {
                guard let handle = handles[number], handle.mount == mount else { continue }
                if handle.file.lock == number { handle.file.lock = nil }
                handles[number] = nil
            }
        }
    }

    /// An operation of a process that ended while it was in flight.
    private func leaveToChance(_ job: DiskJob) {
        let luck = random.number(0...2)
        guard luck > 0 else { return }
        switch job.operation {
        case .write(_, let offset, let count, let memory):
            let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[..<count])
            leaveToChance(job, bytes, at: Int(offset), isWhole: luck == 1)
        case .zeroFill(_, let count):
            guard let file = job.handle?.file, isAllowed(job, end: .max, in: file) else { return }
            file.forgetWrites()
            let part = random.number(0...Int(count) / DiskFile.sectorBytes) * DiskFile.sectorBytes
            file.putZeros(count: luck == 1 ? Int(count) : part)
        case .open, .syncData, .syncAll, .syncDirectory, .rename, .remove, .makeDirectory, .removeDirectory:
            performUnheard(job)
        case .close, .read, .writeOut, .list, .size, .lock: break
        }
    }

    /// Even a durable write that is cut off may have come no further than the cache.
    private func leaveToChance(_ job: DiskJob, _ bytes: UnsafeRawBufferPointer, at offset: Int, isWhole: Bool) {
        guard let file = job.handle?.file, isAllowed(job, end: offset + bytes.count, in: file) else { return }
        if isWhole {
            file.put(bytes, at: offset)
            file.noteWrite(offset..<offset + bytes.count)
        } else {
            putPart(bytes, at: offset, in: file)
        }
    }

    private func isAllowed(_ job: DiskJob, end: Int, in file: DiskFile) -> Bool {
        job.handle?.options.contains(.write) == true && (!isFull || end <= file.cached.count)
    }

    /// Performs an operation whose result nobody hears. Planned faults are not for it.
    private func performUnheard(_ job: DiskJob) {
        let kept = planned
        planned = PlannedFaults()
        // What it fails with is of no interest to anybody.
        _ = try? perform(job)
        planned = kept
    }

    /// - Parameter mode: 0 loses all, 1 keeps all, 2 lets each sector have its own luck.
    private func loseContents(mode: Int, torn: (file: DiskFile, sector: Int)?) {
        for file in names.allFiles {
            var kept = SectorSet()
            for sector in file.dirty.members where mode == 1 || mode == 2 && random.chance(perMille: 500) {
                kept.insert(sector..<sector + 1)
            }
            var cut: (sector: Int, bytes: Int)?
            if let torn, torn.file === file {
                kept.remove(torn.sector..<torn.sector + 1)
                cut = (torn.sector, random.number(1...DiskFile.sectorBytes - 1))
            }
            counts.lostSectors += file.dirty.count + file.stale.count - kept.count
            file.losePower(size: sizeAfterPowerLoss(file, mode: mode), kept: kept, torn: cut)
        }
    }

    private func sizeAfterPowerLoss(_ file: DiskFile, mode: Int) -> Int {
        switch mode {
        case 0: file.durable.count
        case 1: file.cached.count
        default: random.number(file.durable.count...file.cached.count)
        }
    }

    private func chooseTorn(_ files: [DiskFile]) -> (file: DiskFile, sector: Int)? {
        guard settings.tearsSectors, random.chance(perMille: 500) else { return nil }
        let dirty = files.filter { !$0.dirty.isEmpty }
        guard !dirty.isEmpty else { return nil }
        let file = random.pick(dirty)
        counts.tornSectors += 1
        return (file, random.pick(file.dirty.members))
    }
}
