import FlotillaStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What each operation does.
extension SimulatedDisk {
    func perform(_ job: DiskJob) throws(DiskError) -> FileValue {
        switch job.operation {
        case .open(let path, let options): return .file(try open(path, options, mount: job.mount))
        case .close(let number): try close(number, job)
        case .read(_, let offset, let count, let memory):
            return .count(try read(try handle(job), at: Int(offset), count: count, into: memory))
        case .write(_, let offset, let count, let memory):
            try write(job, at: Int(offset), UnsafeRawBufferPointer(rebasing: memory.bytes[..<count]))
        case .zeroFill(_, let count): try zeroFill(job, count: Int(count))
        case .writeOut: try writeOut(job)
        case .syncData, .syncAll: try sync(job)
        case .syncDirectory(let path): try syncDirectory(path, job)
        case .rename(let old, let new): try rename(old, to: new)
        case .remove(let path):
            _ = try existingFile(path)
            names.remove(path)
        case .list(let path): return .names(try list(path))
        case .makeDirectory(let path): try makeDirectory(path)
        case .removeDirectory(let path): try removeDirectory(path)
        case .size(let path): return .size(try size(path))
        case .lock(let number): try lock(number, job)
        }
        return .done
    }

    private func handle(_ job: DiskJob) throws(DiskError) -> DiskHandle {
        guard let handle = job.handle else { throw DiskError(EBADF) }
        return handle
    }

    private func writable(_ job: DiskJob) throws(DiskError) -> DiskHandle {
        let handle = try handle(job)
        guard handle.options.contains(.write) else { throw DiskError(EBADF) }
        return handle
    }

    /// Refuses what a full disk has no room for.
    private func checkSpace(isNeeded: Bool) throws(DiskError) {
        guard isFull, isNeeded else { return }
        counts.refusedForSpace += 1
        throw DiskError(ENOSPC)
    }
}

// MARK: - Names

extension SimulatedDisk {
    private func open(_ path: String, _ options: OpenOptions, mount: Int) throws(DiskError) -> OpenFile {
        if options.contains(.direct), !settings.takesDirect { throw DiskError(EINVAL) }
        let file: DiskFile
        switch names[path] {
        case .directory: throw DiskError(EISDIR)
        case .file(let found):
            guard !options.contains(.createNew) else { throw DiskError(EEXIST) }
            file = found
        case nil:
            guard options.contains(.create) || options.contains(.createNew) else { throw DiskError(ENOENT) }
            file = try create(path)
        }
        return makeHandle(DiskHandle(file: file, path: path, options: options, mount: mount))
    }

    private func create(_ path: String) throws(DiskError) -> DiskFile {
        try checkParent(of: path)
        try checkSpace(isNeeded: true)
        let file = makeFile()
        names.make(path, .file(file))
        return file
    }

    private func checkParent(of path: String) throws(DiskError) {
        precondition(path.hasPrefix("/"), "a simulated disk takes absolute paths only")
        switch names[DiskNames.parent(of: path)] {
        case .directory: break
        case .file: throw DiskError(ENOTDIR)
        case nil: throw DiskError(ENOENT)
        }
    }

    private func existingFile(_ path: String) throws(DiskError) -> DiskFile {
        switch names[path] {
        case .file(let file): return file
        case .directory: throw DiskError(EISDIR)
        case nil: throw DiskError(ENOENT)
        }
    }

    /// Only files are renamed; no user of a disk renames directories.
    private func rename(_ old: String, to new: String) throws(DiskError) {
        _ = try existingFile(old)
        try checkParent(of: new)
        if case .directory = names[new] { throw DiskError(EISDIR) }
        names.rename(old, to: new)
    }

    private func makeDirectory(_ path: String) throws(DiskError) {
        guard names[path] == nil else { throw DiskError(EEXIST) }
        try checkParent(of: path)
        try checkSpace(isNeeded: true)
        names.make(path, .directory)
    }

    private func removeDirectory(_ path: String) throws(DiskError) {
        switch names[path] {
        case .directory: break
        case .file: throw DiskError(ENOTDIR)
        case nil: throw DiskError(ENOENT)
        }
        guard names.names(in: path).isEmpty else { throw DiskError(ENOTEMPTY) }
        names.remove(path)
    }

    private func list(_ path: String) throws(DiskError) -> [String] {
        switch names[path] {
        case .directory: return names.names(in: path)
        case .file: throw DiskError(ENOTDIR)
        case nil: throw DiskError(ENOENT)
        }
    }

    private func size(_ path: String) throws(DiskError) -> UInt64 {
        switch names[path] {
        case .file(let file): return UInt64(file.cached.count)
        case .directory: return 4_096
        case nil: throw DiskError(ENOENT)
        }
    }

    private func syncDirectory(_ path: String, _ job: DiskJob) throws(DiskError) {
        guard names[path] != nil else { throw DiskError(ENOENT) }
        guard case .directory = names[path] else { throw DiskError(ENOTDIR) }
        if planned.takeSync() != nil {
            counts.failedSyncs += 1
            throw DiskError(EIO)
        }
        names.sync(path, through: job.lastChange)
    }
}

// MARK: - Open files

extension SimulatedDisk {
    private func close(_ number: OpenFile, _ job: DiskJob) throws(DiskError) {
        let handle = try handle(job)
        guard handles.removeValue(forKey: number.rawValue) != nil else { throw DiskError(EBADF) }
        if handle.file.lock == number.rawValue { handle.file.lock = nil }
    }

    private func lock(_ number: OpenFile, _ job: DiskJob) throws(DiskError) {
        let file = try handle(job).file
        // Closed meanwhile: a lock that nobody could let go of.
        guard handles[number.rawValue] != nil else { throw DiskError(EBADF) }
        guard file.lock == nil || file.lock == number.rawValue else { throw DiskError(EWOULDBLOCK) }
        file.lock = number.rawValue
    }

    private func read(
        _ handle: DiskHandle, at offset: Int, count: Int, into memory: AlignedMemory
    ) throws(DiskError) -> Int {
        precondition(count <= memory.capacity, "a read past its memory")
        try checkAlignment(handle, offset, count)
        if planned.takeRead() {
            counts.failedReads += 1
            throw DiskError(EIO)
        }
        let range = (offset..<offset + count).clamped(to: 0..<handle.file.cached.count)
        guard !range.isEmpty else { return 0 }
        handle.file.cached.withUnsafeBytes { bytes in
            UnsafeMutableRawBufferPointer(start: memory.base, count: range.count).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
        if handle.options.contains(.direct) { handle.file.copyPastCache(range, into: memory.base) }
        return range.count
    }

    private func checkAlignment(_ handle: DiskHandle, _ offset: Int, _ count: Int) throws(DiskError) {
        guard handle.options.contains(.direct) else { return }
        guard (offset | count) % AlignedMemory.alignment == 0 else { throw DiskError(EINVAL) }
    }

    private func write(_ job: DiskJob, at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(DiskError) {
        let handle = try writable(job)
        try checkAlignment(handle, offset, bytes.count)
        let range = offset..<offset + bytes.count
        try checkSpace(isNeeded: range.upperBound > handle.file.cached.count)
        if let errno = planned.takeWrite() {
            counts.failedWrites += 1
            putPart(bytes, at: offset, in: handle.file)
            throw DiskError(errno)
        }
        if job.isDurableWrite, let fault = planned.takeSync() {
            counts.failedSyncs += 1
            failDurableWrite(handle, bytes, range, fault)
            throw DiskError(EIO)
        }
        handle.file.put(bytes, at: offset)
        handle.file.noteWrite(range)
        if job.isDurableWrite { handle.file.makeDurable(range) }
    }

    /// A durable write that fails past the cache leaves some of its sectors; one through the cache leaves all of them
    /// there, and not on the disk.
    private func failDurableWrite(
        _ handle: DiskHandle, _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ fault: PlannedFaults.Sync
    ) {
        guard !handle.options.contains(.direct) else {
            putPart(bytes, at: range.lowerBound, in: handle.file)
            return
        }
        handle.file.put(bytes, at: range.lowerBound)
        handle.file.noteWrite(range)
        guard fault == .marksClean else { return }
        var sectors = SectorSet()
        sectors.insert(DiskFile.sectors(range))
        handle.file.forgetDirty(sectors)
    }

    private func zeroFill(_ job: DiskJob, count: Int) throws(DiskError) {
        let handle = try writable(job)
        try checkAlignment(handle, 0, count)
        try checkSpace(isNeeded: true)
        handle.file.forgetWrites()
        if let errno = planned.takeWrite() {
            counts.failedWrites += 1
            handle.file.putZeros(count: random.number(0...count / DiskFile.sectorBytes) * DiskFile.sectorBytes)
            throw DiskError(errno)
        }
        handle.file.putZeros(count: count)
    }

    /// Nothing is durable by it, but it may be the one that learns of a failure.
    private func writeOut(_ job: DiskJob) throws(DiskError) {
        let file = try writable(job).file
        guard let fault = planned.takeSync() else { return }
        counts.failedSyncs += 1
        if fault == .marksClean { file.forgetDirty(file.dirty) }
        throw DiskError(EIO)
    }

    private func sync(_ job: DiskJob) throws(DiskError) {
        let file = try handle(job).file
        if let fault = planned.takeSync() {
            counts.failedSyncs += 1
            if fault == .marksClean { file.forgetDirty(job.dirty) }
            throw DiskError(EIO)
        }
        file.makeDurable(job.dirty)
    }

    /// Puts any of the sectors of a write into the cache.
    func putPart(_ bytes: UnsafeRawBufferPointer, at offset: Int, in file: DiskFile) {
        for sector in DiskFile.sectors(offset..<offset + bytes.count) where random.chance(perMille: 500) {
            let start = sector * DiskFile.sectorBytes
            let part = (start..<start + DiskFile.sectorBytes).clamped(to: offset..<offset + bytes.count)
            file.put(
                UnsafeRawBufferPointer(rebasing: bytes[part.lowerBound - offset..<part.upperBound - offset]),
                at: part.lowerBound)
        }
    }
}
