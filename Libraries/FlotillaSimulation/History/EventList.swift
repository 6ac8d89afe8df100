/// The invocations and returns that are not yet explained, in the order of time: a doubly linked list from which an
/// operation's two events can be lifted, and into which they can be put back in the reverse order of lifting.
///
/// At equal times invocations stand before returns, so that operations which touch count as concurrent.
struct EventList {
    /// The operation of each event. Event 0 stands before all others and has none.
    private(set) var operation: [Int] = [-1]
    /// Whether each event is a return.
    private(set) var isReturn: [Bool] = [false]
    private var next: [Int]
    private var previous: [Int]
    private var invocation: [Int]
    private var completion: [Int]

    /// The events of operations that were invoked and returned at these times.
    init(_ times: [(invoked: UInt64, returned: UInt64)]) {
        invocation = Array(repeating: 0, count: times.count)
        completion = invocation
        var events: [(time: UInt64, isReturn: Bool, operation: Int)] = []
        events.reserveCapacity(times.count * 2)
        for (number, time) in times.enumerated() {
            events.append((time.invoked, false, number))
            events.append((time.returned, true, number))
        }
        events.sort { left, right in
            if left.time != right.time { return left.time < right.time }
            if left.isReturn != right.isReturn { return right.isReturn }
            return left.operation < right.operation
        }
        for (place, event) in events.enumerated() {
            operation.append(event.operation)
            isReturn.append(event.isReturn)
            if event.isReturn {
                completion[event.operation] = place + 1
            } else {
                invocation[event.operation] = place + 1
            }
        }
        let count = operation.count
        next = (0..<count).map { ($0 + 1) % count }
        previous = (0..<count).map { ($0 + count - 1) % count }
    }

    /// The event after another one, and after event 0 the first; 0 when there is none.
    func after(_ event: Int) -> Int { next[event] }

    /// The event behind the invocation of an operation, which is in the list.
    func afterInvocation(of operation: Int) -> Int { next[invocation[operation]] }

    /// Takes an operation out.
    mutating func lift(_ operation: Int) {
        for event in [invocation[operation], completion[operation]] {
            next[previous[event]] = next[event]
            previous[next[event]] = previous[event]
        }
    }

    /// Puts back the operation that was lifted last of those that are out.
    mutating func unlift(_ operation: Int) {
        for event in [completion[operation], invocation[operation]] {
            next[previous[event]] = event
            previous[next[event]] = event
        }
    }
}
