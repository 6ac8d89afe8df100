import FlotillaWire
import NIOCore

extension StateMachine {
    @inlinable
    public func answerQuery(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) -> PendingRead? {
        var reader = WireReader(query)
        let question = try Query(from: &reader)
        switch lookUp(question, at: context) {
        case .answer(let answer):
            answer.encode(into: &buffer)
            return nil
        case .read(let indexes, let then):
            return PendingRead(indexes: indexes) { entries, buffer in
                guard let answer = then(entries) else { return false }
                answer.encode(into: &buffer)
                return true
            }
        }
    }
}
