/// The configurations that a search has been to: which operations are placed, and the state they leave.
///
/// A configuration is not worth going on from if another one has the same state and the same required operations
/// placed, and has used none of the optional operations that this one has not: whatever can follow here can follow
/// there.
struct ConfigurationMemory<State: Hashable> {
    private let requiredWords: Int
    private let words: Int
    private var newest: [UInt64: Int] = [:]
    private var older: [Int] = []
    private var states: [State] = []
    private var bits: [UInt64] = []

    /// No configurations. Their bits have `words` words, of which the first `requiredWords` are required operations.
    init(requiredWords: Int, words: Int) {
        self.requiredWords = requiredWords
        self.words = words
    }

    /// Remembers a configuration unless one that is as good is known. `hash` must depend on the required operations
    /// alone.
    ///
    /// - Returns: whether it was remembered.
    mutating func insert(_ state: State, placed: [UInt64], hash: UInt64) -> Bool {
        let slot = hash ^ UInt64(bitPattern: Int64(state.hashValue))
        var known = newest[slot] ?? -1
        while known >= 0 {
            if states[known] == state && isAsGood(known, as: placed) { return false }
            known = older[known]
        }
        older.append(newest.updateValue(states.count, forKey: slot) ?? -1)
        states.append(state)
        bits.append(contentsOf: placed)
        return true
    }

    private func isAsGood(_ known: Int, as placed: [UInt64]) -> Bool {
        let start = known * words
        for word in 0..<requiredWords where bits[start + word] != placed[word] { return false }
        for word in requiredWords..<words where bits[start + word] & ~placed[word] != 0 { return false }
        return true
    }
}
