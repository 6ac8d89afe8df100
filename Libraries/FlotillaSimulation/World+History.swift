/// The last judgement: whether everything that clients saw can be explained.
extension World {
    func judgeHistory() -> Violation? { nil }
}
