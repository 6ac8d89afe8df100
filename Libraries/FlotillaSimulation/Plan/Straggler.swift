/// One node that stays in trouble when everything else is healed: the others must serve without it.
package struct Straggler: Equatable, Sendable {
    /// What the matter is with it.
    package enum Trouble: String, Equatable, Sendable, CaseIterable {
        case isOff = "is off"
        case isPaused = "stands still"
        case isCutOff = "is cut off"
        case hearsNobody = "hears nobody"
        case isHeardByNobody = "is heard by nobody"
        case hasStalledDisk = "has a disk that stands still"
    }

    /// Which node; the leader of a cluster at that time as often as not.
    package var target: Fault.Target
    package var trouble: Trouble

    /// The straggler of a seed; about half of all have one.
    static func draw(seed: UInt64, nodes: Int, clusters: Int) -> Straggler? {
        var random = Randomness.of("straggler", seed: seed)
        guard random.chance(perMille: 500) else { return nil }
        let trouble = random.pick(Trouble.allCases)
        return random.chance(perMille: 600)
            ? Straggler(target: .leader(random.number(0...(clusters - 1))), trouble: trouble)
            : Straggler(target: .node(random.number(0...(nodes - 1))), trouble: trouble)
    }
}

extension Straggler: CustomStringConvertible {
    /// Who it is and what the matter is.
    package var description: String { "\(target) \(trouble.rawValue)" }
}
