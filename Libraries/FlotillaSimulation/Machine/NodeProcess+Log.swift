import FlotillaKernel
import FlotillaStorage
import FlotillaWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The write-ahead log of a process, driven by the completions of its disk.
extension NodeProcess {
    func openLog(settings: WALSettings, mode: WALWriteMode, recovered: RecoveredNode) {
        preparer = WALFilePreparer(settings: settings, mode: mode, nodeID: nodeID)
        let view = mount { [self] completion in
            guard isAlive else { return }
            log?.complete(completion)
            planIdle()
            endIfStopped()
        }
        let opened = WriteAheadLog(
            settings: settings, mode: mode, start: recovered.start, fileSystem: view,
            handlers: WriteAheadLog.Handlers(
                durable: { [unowned self] in takeNotices($0, status: $1) },
                failure: { [unowned self] in logFailed($0) },
                prepare: { [unowned self] in prepare($0, delay: $1) },
                remove: { [unowned self] in remove($0, from: settings.directory) }))
        log = opened
        opened.start()
    }

    /// What became durable gets to the kernel a little later, as from another thread.
    private func takeNotices(_ notices: [DurableNotice], status: WALStatus) {
        lastNotices = max(lastNotices, scheduler.now + world.plan.options.handover(&computer.random))
        scheduler.at(lastNotices) { [self] in
            computer.whenAwake(self) { [self] in
                guard isServing, let kernel else { return }
                tellTime()
                world.checker.became(notices)
                kernel.walCompleted(notices, status: status)
                touched()
            }
        }
    }

    /// What fails must be what was made to fail: anything else is a mistake of storage, or of the disk.
    func checkCause(_ error: StorageError) {
        guard let cause = error.cause, cause.errno != EIO, !cause.isOutOfSpace else { return }
        world.fail(.recovery, "node \(computer.name) fails in a way that no fault explains: \(error)")
    }

    /// The kernel can't rely on its disk any more.
    func diskFailed(_ error: StorageError) {
        if error.code == .hung {
            world.report.hungDisks += 1
            if !computer.disk.hasBeenSlow {
                world.fail(.kernel, "node \(computer.name) ends because of a disk that works: \(error)")
            }
        }
        logFailed(error)
    }

    /// Does a background job; its outcome gets to the kernel a little later, as from another thread.
    func start(_ job: StorageJob) {
        guard let worker else { return }
        Task(executorPreference: world.executor) { [self] in
            let outcome = await worker.run(job)
            guard isAlive else { return }
            scheduler.after(world.plan.options.handover(&computer.random)) { [self] in
                computer.whenAwake(self) { [self] in
                    guard isServing, let kernel else { return }
                    tellTime()
                    kernel.jobEnded(outcome)
                    touched()
                }
            }
        }
    }

    private func logFailed(_ error: StorageError) {
        checkCause(error)
        world.report.logFailures += 1
        scheduler.after(0) { [self] in
            computer.processEnded(
                self, "its log has failed: \(error)",
                restartAfter: computer.random.time(200_000_000...2_000_000_000))
        }
    }

    private func prepare(_ sequence: UInt64, delay: UInt64) {
        guard delay == 0 else {
            return scheduler.after(delay) { [self] in
                computer.whenAwake(self) { [self] in prepare(sequence, delay: 0) }
            }
        }
        guard isAlive, let preparer, let files else { return }
        let salt = computer.random.bits()
        Task(executorPreference: world.executor) { [self] in
            let result: Result<PreparedFile, FileSystemError>
            do throws(FileSystemError) {
                result = .success(try await preparer.prepare(sequence: sequence, salt: salt, files: files))
            } catch {
                result = .failure(error)
            }
            guard isAlive else { return }
            computer.whenAwake(self) { [self] in prepared(result) }
        }
    }

    private func remove(_ sequences: [UInt64], from directory: String) {
        guard isAlive, let files else { return }
        Task(executorPreference: world.executor) { [self] in
            var failure: FileSystemError?
            do throws(FileSystemError) {
                try await WALFileRemover(directory: directory).remove(sequences, files: files)
            } catch {
                failure = error
            }
            let error = failure
            guard isAlive else { return }
            computer.whenAwake(self) { [self] in
                if let error { log?.removalFailed(error) } else { log?.filesRemoved(sequences.count) }
                endIfStopped()
            }
        }
    }

    private func prepared(_ result: Result<PreparedFile, FileSystemError>) {
        switch result {
        case .success(let file): log?.fileReady(file)
        case .failure(let error): log?.preparationFailed(error)
        }
        endIfStopped()
    }

    /// A log that has nothing to do for a while seals its last batch.
    private func planIdle() {
        guard log?.wantsSeal == true else { return }
        idleNumber += 1
        let number = idleNumber
        scheduler.after(20_000_000) { [self] in
            guard number == idleNumber, isServing else { return }
            computer.whenAwake(self) { [self] in log?.idle() }
        }
    }

    func submit(_ records: [WALRecord]) {
        computer.writes(records)
        world.checker.handsOver(records, on: computer.number)
        lastRecords = max(lastRecords, scheduler.now + world.plan.options.handover(&computer.random))
        scheduler.at(lastRecords) { [self] in
            computer.whenAwake(self) { [self] in
                idleNumber += 1
                log?.append(records)
            }
        }
    }
}
