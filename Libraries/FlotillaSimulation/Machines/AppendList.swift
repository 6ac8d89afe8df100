import FlotillaMachine
import FlotillaWire
import NIOCore

/// A machine for tests: lists by key, to which numbers are appended and which are read whole. A read shows the order
/// of everything that was ever appended, so nothing that goes wrong stays hidden.
package struct AppendList: StateMachine {
    /// Appends a number to the list of a key.
    package struct Command: WireCodable, Equatable {
        package var key: UInt64
        package var element: UInt64

        package init(key: UInt64, element: UInt64) {
            self.key = key
            self.element = element
        }

        package func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(key)
            buffer.writeLittle(element)
        }

        package init(from reader: inout WireReader) throws(WireError) {
            key = try reader.integer()
            element = try reader.integer()
        }
    }

    /// Asks for the list of a key.
    package struct Query: WireCodable, Equatable {
        package var key: UInt64

        package init(key: UInt64) { self.key = key }

        package func encode(into buffer: inout ByteBuffer) { buffer.writeLittle(key) }
        package init(from reader: inout WireReader) throws(WireError) { key = try reader.integer() }
    }

    /// A whole list.
    package struct Answer: WireCodable, Equatable {
        package var elements: [UInt64]

        package init(elements: [UInt64]) { self.elements = elements }

        package func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(UInt32(elements.count))
            for element in elements { buffer.writeLittle(element) }
        }

        package init(from reader: inout WireReader) throws(WireError) {
            let count = Int(try reader.integer(as: UInt32.self))
            guard count * 8 <= reader.remaining else { throw WireError(.truncated, "\(count) elements") }
            elements = []
            for _ in 0..<count { elements.append(try reader.integer()) }
        }
    }

    private var lists: [UInt64: [UInt64]] = [:]

    package init(configuration: MachineConfiguration) {}

    /// Appends, and replies with the length of the list.
    package mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Int64 {
        lists[command.key, default: []].append(command.element)
        return Int64(lists[command.key]?.count ?? 0)
    }

    package func answer(_ query: Query, at context: QueryContext) -> Answer {
        Answer(elements: lists[query.key] ?? [])
    }
}

extension AppendList {
    /// Small, so that a snapshot of a few lists has more than one piece.
    private static let pieceBytes = 256

    /// The lists in the order of their keys: 8 bytes key, 4 bytes count and the elements of each.
    package func snapshot() -> StateSnapshot? {
        let lists = lists
        return StateSnapshot(from: nil as ArraySlice<UInt64>?) { rest in
            var keys = rest ?? lists.keys.sorted()[...]
            defer { rest = keys }
            var piece = ByteBuffer()
            while piece.readableBytes < Self.pieceBytes, let key = keys.popFirst() {
                piece.writeLittle(key)
                Answer(elements: lists[key] ?? []).encode(into: &piece)
            }
            return piece.readableBytes > 0 ? piece : nil
        }
    }

    package mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        var reader = WireReader(piece)
        repeat {
            let key: UInt64 = try reader.integer()
            let elements = try Answer(from: &reader).elements
            guard lists[key] == nil, !elements.isEmpty else {
                throw WireError(.malformed, "list \(key) comes twice or is empty")
            }
            lists[key] = elements
        } while reader.remaining > 0
    }
}
