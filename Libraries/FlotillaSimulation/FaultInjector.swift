import FlotillaKernel
import FlotillaWire

/// Lets the faults of a plan happen, and ends them.
///
/// It never destroys the last good copies of anything: disks are damaged or emptied only as long as every cluster keeps
/// a majority of voters on good ones.
final class FaultInjector {
    private unowned let world: World
    private var random: Randomness
    /// What ends the faults that are in force, by their numbers.
    private var endings: [Int: () -> Void] = [:]
    private var counts: [String: Int] = [:]
    private var isHealed = false
    private var elections = 0

    init(world: World) {
        self.world = world
        random = .of("injector", seed: world.plan.seed)
    }

    /// Plans all faults, whose times count from `start`.
    func plan(from start: UInt64) {
        for planned in world.plan.faults {
            world.scheduler.at(start + planned.time) { [self] in happen(planned) }
        }
    }

    private func happen(_ planned: PlannedFault) {
        guard !isHealed, world.isRunning else { return }
        // Whom it meets is drawn anew for each fault, so that leaving one out does not change the others.
        random = .of("injector", planned.number, seed: world.plan.seed)
        guard let effect = apply(planned) else { return }
        counts[planned.fault.kind, default: 0] += 1
        world.trace.add(world.scheduler.now, .fault, UInt64(planned.number), note: "\(planned.fault) \(effect)")
    }

    /// Ends everything that is in force; nothing new happens after it.
    func heal() {
        isHealed = true
        for number in endings.keys.sorted() { end(number) }
        for computer in world.computers {
            computer.ambush = nil
            computer.disk.isFull = false
            computer.disk.slowness = 1
            computer.restorePower()
            computer.startSoon(after: 0)
        }
        if world.network.settings.chaos != FrameChaos() {
            // What was lost on a connection that still stands would never be sent again: no TCP does that.
            for left in world.computers {
                for right in world.computers { world.network.reset(left.number, right.number) }
            }
        }
        world.network.settings.chaos = FrameChaos()
        world.network.settings.retransmissionsPerMille = 0
    }

    /// Puts a fault into force until a time is over or everything is healed.
    private func hold(_ planned: PlannedFault, for duration: UInt64, _ ending: @escaping () -> Void) {
        endings[planned.number] = ending
        world.scheduler.after(duration) { [self] in end(planned.number) }
    }

    private func end(_ number: Int) {
        guard let ending = endings.removeValue(forKey: number) else { return }
        world.trace.add(world.scheduler.now, .faultEnded, UInt64(number))
        ending()
    }

    /// How often each kind of fault has happened, and what the disks and the network have done.
    func count(into report: inout Report) {
        for (kind, number) in counts { report.count(kind, number) }
        let network = world.network.counts
        report.count("connections broken in the middle", Int(network.resets))
        report.count("messages lost", Int(network.lostMessages))
        report.count("messages repeated", Int(network.repeatedMessages))
        report.count("messages late", Int(network.lateMessages))
        report.count("packets sent again", Int(network.retransmissions))
        for computer in world.computers { report.note(computer.disk.counts) }
    }

    // MARK: Who is meant

    private func computer(_ target: Fault.Target) -> Computer? {
        switch target {
        case .node(let number): number < world.computers.count ? world.computers[number] : nil
        case .leader(let cluster): world.leader(of: cluster).map { world.computers[$0.host] }
        }
    }

    // MARK: What happens

    /// - Returns: what it did, in words where the fault does not say; `nil` when it could not be done.
    private func apply(_ planned: PlannedFault) -> String? {
        switch planned.fault {
        case .kill(let target, let time): return down(planned, target, time) { $0.kill("killed") }
        case .restart(let target, let time): return down(planned, target, time) { $0.process?.stop() }
        case .powerLoss(let target, let time): return powerLoss(planned, [computer(target)].compactMap { $0 }, time)
        case .powerLossOfAll(let time): return powerLoss(planned, world.computers, time)
        case .pause(let target, let time):
            guard let computer = computer(target) else { return nil }
            computer.pause()
            hold(planned, for: time) { computer.resume() }
            return "\(computer.name)"
        case .partition(let directions, let time): return block(planned, directions.map { ($0[0], $0[1]) }, time)
        case .oneWay(let target, let hearsNobody, let time):
            guard let number = computer(target)?.number else { return nil }
            let others = world.computers.indices.filter { $0 != number }
            return block(planned, others.map { hearsNobody ? ($0, number) : (number, $0) }, time)
        case .cutOff(let target, let time):
            guard let number = computer(target)?.number else { return nil }
            let others = world.computers.indices.filter { $0 != number }
            return block(planned, others.flatMap { [($0, number), (number, $0)] }, time)
        case .ambush(let target, let moment, let losesPower, let time):
            return ambush(planned, target, moment, losesPower: losesPower, downFor: time)
        case .reset(let left, let right):
            world.network.reset(left, right)
            return ""
        case .slowLink(let from, let to, let delay, let time):
            world.network.slow(from: from, to: to, by: delay)
            hold(planned, for: time) { [network = world.network] in network.slow(from: from, to: to, by: 0) }
            return ""
        case .wallJump(let number, let jump):
            world.computers[number].clock.wallOffset += jump
            return ""
        case .clockRate(let number, let rate, let time):
            setRate(rate, of: world.computers[number])
            hold(planned, for: time) { [self, world] in setRate(1_000, of: world.computers[number]) }
            return ""
        case .slowDisk, .stalledDisk, .fullDisk, .failedSync, .failedWrite, .failedRead, .rot, .wipe:
            return applyToDisk(planned)
        case .transfer, .election, .addMember, .removeMember: return operate(planned.fault)
        }
    }

    private func down(
        _ planned: PlannedFault, _ target: Fault.Target, _ time: UInt64, _ body: (Computer) -> Void
    ) -> String? {
        guard let computer = computer(target), computer.process != nil else { return nil }
        body(computer)
        hold(planned, for: time) { computer.startSoon(after: 0) }
        return "\(computer.name)"
    }

    private func powerLoss(_ planned: PlannedFault, _ computers: [Computer], _ time: UInt64) -> String? {
        let concerned = computers.filter(\.isPowered)
        guard !concerned.isEmpty else { return nil }
        for computer in concerned { computer.losePower() }
        hold(planned, for: time) { for computer in concerned { computer.restorePower() } }
        return concerned.map(\.name.description).joined(separator: ", ")
    }

    /// Lies in wait until the log is about to write what is meant, and strikes within the time that this takes.
    private func ambush(
        _ planned: PlannedFault, _ target: Fault.Target, _ moment: Fault.Moment, losesPower: Bool, downFor time: UInt64
    ) -> String? {
        guard let computer = computer(target) else { return nil }
        let delay = random.time(0...random.pick([50_000, 1_000_000, 30_000_000]))
        computer.ambush = Computer.Ambush(moment: moment) { [weak self, world] in
            world.scheduler.after(delay) { [weak self] in
                guard let self, !self.isHealed else { return }
                if losesPower {
                    _ = self.powerLoss(planned, [computer], time)
                } else {
                    computer.kill("killed in a write")
                    self.hold(planned, for: time) { computer.startSoon(after: 0) }
                }
            }
        }
        return "on \(computer.name)"
    }

    private func block(_ planned: PlannedFault, _ directions: [(Int, Int)], _ time: UInt64) -> String? {
        let network = world.network
        for (from, to) in directions { network.block(from: from, to: to) }
        hold(planned, for: time) { for (from, to) in directions { network.unblock(from: from, to: to) } }
        return directions.map { "n\($0 + 1)>n\($1 + 1)" }.joined(separator: " ")
    }

    private func setRate(_ rate: UInt64, of computer: Computer) {
        computer.clock.setRate(rate, at: world.scheduler.now)
        computer.process?.clockChanged()
    }

    private func applyToDisk(_ planned: PlannedFault) -> String? {
        switch planned.fault {
        case .slowDisk(let target, let factor, let time):
            guard let disk = computer(target)?.disk else { return nil }
            disk.slowness = factor
            hold(planned, for: time) { disk.slowness = 1 }
        case .stalledDisk(let target, let time):
            guard let disk = computer(target)?.disk else { return nil }
            disk.stall(until: world.scheduler.now + time)
        case .fullDisk(let number, let time):
            let disk = world.computers[number].disk
            disk.isFull = true
            hold(planned, for: time) { disk.isFull = false }
        case .failedSync(let target, let marksClean): computer(target)?.disk.failNextSync(marksClean: marksClean)
        case .failedWrite(let target): computer(target)?.disk.failNextWrite()
        case .failedRead(let number):
            let computer = world.computers[number]
            computer.kill("killed")
            computer.disk.failNextRead()
            computer.startSoon(after: random.time(0...500_000_000))
        case .rot(let number, let rot):
            let computer = world.computers[number]
            guard let done = damage(computer, rot) else { return nil }
            // Nobody finds it before the next start.
            if random.chance(perMille: 500) {
                computer.kill("killed")
                computer.startSoon(after: random.time(0...500_000_000))
            }
            return done
        case .wipe(let number):
            let computer = world.computers[number]
            guard world.mayLose(computer) else { return nil }
            computer.wipe()
            computer.startSoon(after: random.time(0...1_000_000_000))
        default: return nil
        }
        return ""
    }

    private func damage(_ computer: Computer, _ rot: Fault.Rot) -> String? {
        guard !computer.isDamaged, world.mayLose(computer) else { return nil }
        let done =
            switch rot {
            case .bitFlip: computer.disk.damageAtRest(.flippedBit, using: &random)
            case .lostWrite: computer.disk.damageAtRest(.lostWrite, using: &random)
            case .misdirectedWrite: computer.disk.damageAtRest(.misdirectedWrite, using: &random)
            case .serverFile: computer.disk.damageServerFile(using: &random)
            }
        guard let done else { return nil }
        computer.isDamaged = true
        return done
    }

    // MARK: What operators do

    /// Where members come and go, an operator sometimes asks for a change right after an election.
    func elected(_ cluster: Int) {
        guard !isHealed, world.isRunning, changesMembers else { return }
        var random = Randomness.of("changes", elections, seed: world.plan.seed)
        elections += 1
        guard random.chance(perMille: 400) else { return }
        let host = random.number(0...(world.computers.count - 1))
        let adds = random.chance(perMille: 500)
        world.scheduler.after(random.time(0...3_000_000)) { [self] in
            guard !isHealed, world.isRunning else { return }
            let effect =
                adds
                ? world.addMember(to: cluster, on: host, .promotable(target: .zero))
                : world.removeMember(from: cluster, on: host)
            if effect != nil { counts["change right after an election", default: 0] += 1 }
        }
    }

    private var changesMembers: Bool {
        world.plan.faults.contains {
            switch $0.fault {
            case .addMember, .removeMember: true
            default: false
            }
        }
    }

    private func operate(_ fault: Fault) -> String? {
        switch fault {
        case .transfer(let cluster, let to): return world.transfer(cluster, to: to)
        case .election(let cluster, let host): return world.triggerElection(of: cluster, on: host)
        case .addMember(let cluster, let host, let role): return world.addMember(to: cluster, on: host, role)
        case .removeMember(let cluster, let host): return world.removeMember(from: cluster, on: host)
        default: return nil
        }
    }
}
