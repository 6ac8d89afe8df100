/// One operation of a client on one object, as the client saw it.
///
/// An operation that is known to have had no effect, such as one that was refused before it reached the log, does not
/// belong in a history.
package struct Operation<Input, Output> {
    /// Who asked. It only serves to name the operation; the times alone decide what came before what.
    package var client: Int
    /// The object. Operations on different objects do not bear on each other.
    package var key: String
    /// What was asked.
    package var input: Input
    /// What came back; `nil` when the outcome is unknown.
    package var output: Output?
    /// When the client asked, on the clock of the world.
    package var invoked: UInt64
    /// When the client had its answer; `nil` when the outcome is unknown, so that it may take effect at any time after
    /// it was invoked, or never.
    package var returned: UInt64?

    /// An operation of these parts. It may not return before it is invoked.
    package init(
        client: Int, key: String, input: Input, output: Output? = nil, invoked: UInt64, returned: UInt64? = nil
    ) {
        self.client = client
        self.key = key
        self.input = input
        self.output = output
        self.invoked = invoked
        self.returned = returned
    }

    /// The answer and its time; `nil` when the outcome is unknown.
    package var completion: (output: Output, returned: UInt64)? {
        guard let output, let returned else { return nil }
        return (output, returned)
    }
}

extension Operation: Sendable where Input: Sendable, Output: Sendable {}

extension Operation: CustomStringConvertible where Input: CustomStringConvertible, Output: CustomStringConvertible {
    package var description: String {
        let answer = completion.map { "\($0.output)" } ?? "unknown"
        return "client \(client), \(invoked)..\(completion.map { "\($0.returned)" } ?? ""): \(input) -> \(answer)"
    }
}
