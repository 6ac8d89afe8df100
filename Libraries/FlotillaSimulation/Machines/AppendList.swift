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
