/// How a search ended.
enum SearchResult<State> {
    case found
    case impossible(DeadEnd<State>)
    case givenUp
}

/// The longest order that a search without success has found. The numbers are those of the prepared operations.
struct DeadEnd<State> {
    var placed: [Int]
    var unplaced: [Int]
    /// An operation that must come before one of the unplaced but was not invoked in time.
    var awaited: Int?
    var state: State
}

/// Looks for a valid order of the operations on one object, depth first, one operation after the other.
///
/// What keeps it small, and why each leaves nothing out:
/// - A required operation that only reads and can come next does come next. In a valid order it comes later; moved here
///   it is explained as well, and nothing else notices.
/// - Optional operations, whose outcome is unknown, are tried last, and never where they change nothing.
/// - Of optional operations that do the same, one is tried only when those that were invoked earlier are placed. In any
///   valid order they can change places.
/// - Ranks forbid what the model knows to be in vain, and `ConfigurationMemory` what was seen to be.
struct LinearizabilitySearch<Model: SequentialModel> {
    private struct Move {
        var operation: Int
        var isRequired: Bool
        var isForced: Bool
        var state: Model.State
    }

    /// What is to be tried next: the required operations from an event on, then the optional from a number on.
    private struct Cursor {
        var event: Int?
        var optional = 0
        var isFresh = false
    }

    private let model: Model
    private let limit: Int
    private let required: [PreparedOperation<Model.Step>]
    private let optional: [PreparedOperation<Model.Step>]
    private let names: (required: [Int], optional: [Int])
    private let deadline: [UInt64]
    /// For each optional operation the last before it that does the same.
    private let twin: [Int?]
    private let requiredWords: Int
    private var events: EventList
    private var ranks: RankOrder
    private var memory: ConfigurationMemory<Model.State>
    private var placed: [UInt64]
    private var hash: UInt64 = 0
    private var missing: Int
    private var path: [(move: Move, before: Model.State)] = []
    private var longest: (missing: Int, end: DeadEnd<Model.State>)?
    /// How many times an operation was placed.
    private(set) var configurations = 0

    /// A search in the operations of one object, of which some may have been left out by the model.
    init(model: Model, operations: [PreparedOperation<Model.Step>?], limit: Int) {
        self.model = model
        self.limit = limit
        let kept = operations.enumerated().compactMap { place, operation in operation.map { (place, $0) } }
        let certain = kept.filter { $0.1.returned != nil }
        let open = kept.filter { $0.1.returned == nil }
            .sorted { $0.1.invoked != $1.1.invoked ? $0.1.invoked < $1.1.invoked : $0.0 < $1.0 }
        required = certain.map(\.1)
        optional = open.map(\.1)
        names = (certain.map(\.0), open.map(\.0))
        deadline = required.compactMap(\.returned)
        var last: [Model.Step: Int] = [:]
        twin = optional.enumerated().map { last.updateValue($0, forKey: $1.step) }
        requiredWords = (required.count + 63) / 64
        let words = requiredWords + (optional.count + 63) / 64
        events = EventList(required.indices.map { [required, deadline] in (required[$0].invoked, deadline[$0]) })
        ranks = RankOrder(required.map(\.rank))
        memory = ConfigurationMemory(requiredWords: requiredWords, words: words)
        placed = Array(repeating: 0, count: words)
        missing = required.count
    }

    /// Searches to the end, or to the limit.
    mutating func run() -> SearchResult<Model.State> {
        var state = model.initial
        var cursor = Cursor(event: events.after(0), isFresh: true)
        while missing > 0 {
            if let move = nextMove(from: cursor, in: state) {
                guard configurations < limit else { return .givenUp }
                place(move, before: state)
                if move.isForced || memory.insert(move.state, placed: placed, hash: hash) {
                    state = move.state
                    cursor = Cursor(event: events.after(0), isFresh: true)
                    continue
                }
            } else {
                keepIfLongest(state)
                while let last = path.last, last.move.isForced { takeBack() }
            }
            guard let last = path.last else { break }
            takeBack()
            state = last.before
            cursor = resume(after: last.move)
        }
        guard missing > 0, let longest else { return .found }
        return .impossible(longest.end)
    }

    private func nextMove(from cursor: Cursor, in state: Model.State) -> Move? {
        if let event = cursor.event, let move = nextRequired(from: event, in: state, isFresh: cursor.isFresh) {
            return move
        }
        return nextOptional(from: cursor.optional, in: state)
    }

    /// On first sight of a configuration all operations are looked at, for one that is forced; later there is none.
    private func nextRequired(from start: Int, in state: Model.State, isFresh: Bool) -> Move? {
        var event = start
        var first: Move?
        while event != 0 && !events.isReturn[event] {
            let operation = events.operation[event]
            event = events.after(event)
            guard ranks.allows(operation) else { continue }
            guard let next = model.state(after: required[operation].step, in: state) else { continue }
            if next == state && model.isReadOnly(required[operation].step) {
                return Move(operation: operation, isRequired: true, isForced: true, state: next)
            }
            if first == nil {
                first = Move(operation: operation, isRequired: true, isForced: false, state: next)
                if !isFresh { break }
            }
        }
        return first
    }

    private func nextOptional(from start: Int, in state: Model.State) -> Move? {
        guard start < optional.count else { return nil }
        let limit = deadline[firstToReturn]
        for number in start..<optional.count {
            guard optional[number].invoked <= limit else { return nil }
            guard !isPlaced(number), twin[number].map(isPlaced) ?? true else { continue }
            guard let next = model.state(after: optional[number].step, in: state), next != state else { continue }
            return Move(operation: number, isRequired: false, isForced: false, state: next)
        }
        return nil
    }

    /// The required operation whose return comes first. Some are missing, so there is one.
    private var firstToReturn: Int {
        var event = events.after(0)
        while !events.isReturn[event] { event = events.after(event) }
        return events.operation[event]
    }

    private func isPlaced(_ optional: Int) -> Bool {
        placed[requiredWords + optional / 64] & (1 << UInt64(optional % 64)) != 0
    }

    private func isAwaited(_ required: Int) -> Bool {
        ranks.isNext(required) && placed[required / 64] & (1 << UInt64(required % 64)) == 0
    }

    private func resume(after move: Move) -> Cursor {
        move.isRequired
            ? Cursor(event: events.afterInvocation(of: move.operation))
            : Cursor(event: nil, optional: move.operation + 1)
    }

    private mutating func place(_ move: Move, before state: Model.State) {
        configurations += 1
        path.append((move, state))
        flip(move)
        guard move.isRequired else { return }
        events.lift(move.operation)
        ranks.place(move.operation)
        missing -= 1
    }

    private mutating func takeBack() {
        let move = path.removeLast().move
        flip(move)
        guard move.isRequired else { return }
        events.unlift(move.operation)
        ranks.takeBack(move.operation)
        missing += 1
    }

    private mutating func flip(_ move: Move) {
        let word = (move.isRequired ? 0 : requiredWords) + move.operation / 64
        placed[word] ^= 1 << UInt64(move.operation % 64)
        if move.isRequired { hash ^= Self.mixed(UInt64(move.operation)) }
    }

    /// Bits that differ for each operation, so that those of a set of operations can be added and taken away again.
    private static func mixed(_ number: UInt64) -> UInt64 {
        let once = (number &+ 1) &* 0x9e37_79b9_7f4a_7c15
        let twice = (once ^ (once >> 29)) &* 0xbf58_476d_1ce4_e5b9
        return twice ^ (twice >> 32)
    }

    private mutating func keepIfLongest(_ state: Model.State) {
        guard missing < longest?.missing ?? .max else { return }
        var unplaced: [Int] = []
        var event = events.after(0)
        while !events.isReturn[event] {
            unplaced.append(events.operation[event])
            event = events.after(event)
        }
        let first = events.operation[event]
        let order = [first] + unplaced.filter { $0 != first }
        let awaited = ranks.allows(first) ? nil : required.indices.first { isAwaited($0) && !order.contains($0) }
        longest = (
            missing,
            DeadEnd(
                placed: path.map { ($0.move.isRequired ? names.required : names.optional)[$0.move.operation] },
                unplaced: order.map { names.required[$0] }, awaited: awaited.map { names.required[$0] }, state: state)
        )
    }
}
