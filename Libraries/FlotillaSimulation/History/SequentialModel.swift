/// What an object does when its operations come one after the other: the specification a history is held against.
///
/// A model is a value. The checker prepares a copy of it for each object, so it may keep what it learns there.
package protocol SequentialModel {
    /// What is asked of the object.
    associatedtype Input: CustomStringConvertible
    /// What it answers.
    associatedtype Output: CustomStringConvertible
    /// All that its later answers depend on. It is hashed and compared often, so it should be small.
    associatedtype State: Hashable, CustomStringConvertible
    /// An operation with its answer in the form in which the model takes it. Operations whose steps are equal must do
    /// the same in each state.
    associatedtype Step: Hashable

    /// The state before all operations.
    var initial: State { get }

    /// Reads the whole history of one object and says what of each operation is to be placed, in the same order; `nil`
    /// for an operation that may be left out because a valid order with it exists only if one without it does.
    ///
    /// An operation whose outcome is unknown but which an answer proves to have taken effect can be given the time by
    /// which it did, so that it must be placed. No change may make a valid order impossible or an impossible one valid.
    mutating func prepare(_ history: [Operation<Input, Output>]) -> [PreparedOperation<Step>?]

    /// Whether a step changes nothing about the object, in any state in which it can happen.
    func isReadOnly(_ step: Step) -> Bool

    /// The state after a step; `nil` when the step can not happen in this state with the answer that it had.
    func state(after step: Step, in state: State) -> State?
}

/// An operation that is ready to be placed.
package struct PreparedOperation<Step: Hashable> {
    /// What it does.
    package var step: Step
    /// The time before which it can not have taken effect.
    package var invoked: UInt64
    /// The time by which it has taken effect; `nil` when it may also never have.
    package var returned: UInt64?
    /// Where it stands among the operations that must be placed, when the answers alone tell: in each valid order,
    /// after all that have a lower rank. Nothing is said of operations without a rank or with the same one.
    package var rank: UInt64?

    /// A prepared operation of these parts.
    package init(step: Step, invoked: UInt64, returned: UInt64?, rank: UInt64? = nil) {
        self.step = step
        self.invoked = invoked
        self.returned = returned
        self.rank = rank
    }
}
