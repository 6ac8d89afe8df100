import FlotillaClient
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore

/// What a command that wrote something prints as JSON.
struct WrittenView: Encodable {
    var index: UInt64
    var leader: String?
    var term: UInt64

    init<Reply>(_ result: CommandResult<Reply>) {
        index = result.index.rawValue
        leader = result.leader?.description
        term = result.term.rawValue
    }
}

/// A key and its value as JSON. Bytes that are no UTF-8 stand in Base64 under names that say so.
struct ItemView: Encodable {
    var index: UInt64
    var key: String?
    var key_base64: String?
    var value: String?
    var value_base64: String?

    init(_ item: KeyValue.Item) {
        index = item.index.rawValue
        (key, key_base64) = Self.text(item.key.bytes)
        (value, value_base64) = Self.text(Array(item.value.readableBytesView))
    }

    private static func text(_ bytes: [UInt8]) -> (String?, String?) {
        if let text = String(validating: bytes, as: UTF8.self) { return (text, nil) }
        return (nil, Data(bytes).base64EncodedString())
    }
}
