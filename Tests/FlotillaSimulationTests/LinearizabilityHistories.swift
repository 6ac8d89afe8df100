import FlotillaSimulation

/// A real object that histories are made with, independent of the model it is checked against.
protocol HistoryObject {
    associatedtype Input
    associatedtype Output

    /// Draws an operation, the so-manyth on this object, and does it.
    mutating func act(_ number: Int, _ randomness: inout Randomness) -> (Input, Output)
    /// An answer that is wrong in some way.
    func spoiled(_ output: Output, _ randomness: inout Randomness) -> Output
}

/// Makes histories by letting each operation take effect at one instant between its invocation and its return.
struct HistoryMaker {
    var clients = 3
    var keys = 1
    var operations = 7
    /// How many of a thousand operations have an unknown outcome. Half of these take effect, some of them late.
    var unknownPerMille = 0
    /// The longest time between two instants of a client.
    var pace: UInt64 = 20

    private struct Planned {
        var client: Int
        var key: Int
        var invoked: UInt64
        var instant: UInt64
        var returned: UInt64?
        var hasEffect: Bool
    }

    /// A linearizable history, in an order that tells nothing.
    func make<Object: HistoryObject>(
        _ object: Object, _ randomness: inout Randomness
    ) -> [Operation<Object.Input, Object.Output>] {
        var objects = Array(repeating: object, count: keys)
        var numbers = Array(repeating: 0, count: keys)
        var history: [Operation<Object.Input, Object.Output>] = []
        for planned in plan(&randomness).enumerated().sorted(by: {
            ($0.element.instant, $0.offset) < ($1.element.instant, $1.offset)
        }).map(\.element) {
            var object = objects[planned.key]
            let (input, output) = object.act(numbers[planned.key], &randomness)
            numbers[planned.key] += 1
            if planned.hasEffect { objects[planned.key] = object }
            history.append(
                Operation(
                    client: planned.client, key: "k\(planned.key)", input: input,
                    output: planned.returned == nil ? nil : output, invoked: planned.invoked,
                    returned: planned.returned))
        }
        for place in history.indices.dropFirst() { history.swapAt(place, randomness.number(0...place)) }
        return history
    }

    /// A history that may have become bad.
    func makeSpoiled<Object: HistoryObject>(
        _ object: Object, _ randomness: inout Randomness
    ) -> [Operation<Object.Input, Object.Output>] {
        var history = make(object, &randomness)
        for _ in 0..<randomness.number(0...2) {
            let place = randomness.number(0...(history.count - 1))
            guard let output = history[place].output, let returned = history[place].returned else { continue }
            switch randomness.number(0...3) {
            case 0: history[place].output = object.spoiled(output, &randomness)
            case 1: history[place].output = randomness.pick(history.compactMap(\.output))
            case 2:
                let delay = randomness.time(0...(2 * pace))
                history[place].invoked += delay
                history[place].returned = returned + delay
            default: history[place].returned = randomness.time(history[place].invoked...returned)
            }
        }
        return history
    }

    private func plan(_ randomness: inout Randomness) -> [Planned] {
        var clocks = Array(repeating: UInt64(0), count: clients)
        return (0..<operations).map { number in
            let client = number % clients
            let invoked = clocks[client] + randomness.time(0...pace)
            let isUnknown = randomness.chance(perMille: unknownPerMille)
            let instant = invoked + randomness.time(0...(isUnknown ? pace * 5 : pace))
            let returned = isUnknown ? invoked + pace : instant + randomness.time(0...pace)
            clocks[client] = returned
            return Planned(
                client: client, key: randomness.number(0...(keys - 1)), invoked: invoked, instant: instant,
                returned: isUnknown ? nil : returned, hasEffect: !isUnknown || randomness.chance(perMille: 500))
        }
    }
}

/// A key of a key-value machine.
struct HistoryRegister: HistoryObject {
    /// How many of a thousand answers tell an index.
    var indexPerMille: Int
    private var current: (value: UInt64, index: UInt64)?
    private var last: UInt64 = 0

    init(indexPerMille: Int) { self.indexPerMille = indexPerMille }

    mutating func act(
        _ number: Int, _ randomness: inout Randomness
    ) -> (RegisterModel.Input, RegisterModel.Output) {
        let told = randomness.chance(perMille: indexPerMille)
        let kind = randomness.number(0...9)
        guard kind >= 4 else {
            return (.get, current.map { .value($0.value, index: told ? $0.index : nil) } ?? .absent)
        }
        last += 10
        let index = told ? last : nil
        if kind == 9 {
            defer { current = nil }
            return (.delete, current == nil ? .notFound(index: index) : .deleted(index: index))
        }
        let value = UInt64(number + 1)
        let guesses = [current?.index ?? 0, current?.index ?? 0, 0, UInt64(randomness.number(1...5)) * 10]
        let expected = kind >= 7 ? randomness.pick(guesses) : nil
        if let expected, expected != current?.index ?? 0 {
            return (.put(value, ifIndex: expected), .conflict(current: current?.index, index: index))
        }
        current = (value, last)
        return (.put(value, ifIndex: expected), .stored(index: index))
    }

    func spoiled(_ output: RegisterModel.Output, _ randomness: inout Randomness) -> RegisterModel.Output {
        let number = UInt64(randomness.number(1...6))
        let index = randomness.chance(perMille: indexPerMille) ? UInt64(randomness.number(1...6)) * 10 : nil
        return switch output {
        case .value, .absent:
            randomness.pick([.value(number, index: index), .value(number, index: nil), .absent])
        case .stored, .conflict:
            randomness.pick([.stored(index: index), .conflict(current: index, index: nil)])
        case .deleted, .notFound: randomness.pick([.deleted(index: index), .notFound(index: index)])
        }
    }
}

/// A counter.
struct HistoryCounter: HistoryObject {
    /// Which amounts are added.
    enum Amounts {
        case powersOfTwo
        case small
        case signed
    }

    var amounts: Amounts
    private var total: Int64 = 0

    init(amounts: Amounts) { self.amounts = amounts }

    mutating func act(_ number: Int, _ randomness: inout Randomness) -> (CounterModel.Input, Int64) {
        if randomness.chance(perMille: 400) { return (.get, total) }
        let amount: Int64 =
            switch amounts {
            case .powersOfTwo: number <= 60 ? 1 << Int64(number) : Int64(randomness.number(0...9))
            case .small: Int64(randomness.number(0...3))
            case .signed: randomness.pick([-2, -1, 1, 2, .max, .min])
            }
        total &+= amount
        return (.add(amount), total)
    }

    func spoiled(_ output: Int64, _ randomness: inout Randomness) -> Int64 {
        randomness.pick([output &+ 1, output &- 1, output ^ (1 << Int64(randomness.number(0...6))), 0])
    }
}

/// A list.
struct HistoryList: HistoryObject {
    /// How many of a thousand appends are answered with the length.
    var lengthPerMille: Int
    private var elements: [UInt64] = []

    init(lengthPerMille: Int) { self.lengthPerMille = lengthPerMille }

    mutating func act(_ number: Int, _ randomness: inout Randomness) -> (ListModel.Input, ListModel.Output) {
        if randomness.chance(perMille: 400) { return (.read, .elements(elements)) }
        let element = UInt64(number + 1)
        elements.append(element)
        let told = randomness.chance(perMille: lengthPerMille)
        return (.append(element), .appended(length: told ? elements.count : nil))
    }

    func spoiled(_ output: ListModel.Output, _ randomness: inout Randomness) -> ListModel.Output {
        switch output {
        case .appended: return .appended(length: randomness.number(1...5))
        case .elements(var elements):
            switch randomness.number(0...3) {
            case 0: elements.append(UInt64(randomness.number(1...7)))
            case 1: elements = elements.dropLast()
            case 2: elements.reverse()
            default: elements = Array(elements.dropFirst())
            }
            return .elements(elements)
        }
    }
}
