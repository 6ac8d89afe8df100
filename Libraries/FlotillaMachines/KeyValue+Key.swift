extension KeyValue {
    /// A key: any bytes, ordered byte by byte, a shorter key before every key that it begins.
    ///
    /// A key may be made of any bytes, but a put of one that is empty or longer than `Limits.keyBytes` is refused.
    public struct Key: Hashable, Comparable, Sendable {
        /// The bytes.
        public var bytes: [UInt8]

        /// A key of these bytes.
        public init(_ bytes: [UInt8]) { self.bytes = bytes }

        /// A key of a text's UTF-8 bytes.
        public init(_ text: String) { bytes = Array(text.utf8) }

        /// Orders by the bytes as unsigned numbers.
        public static func < (left: Key, right: Key) -> Bool {
            left.bytes.withUnsafeBytes { left in
                right.bytes.withUnsafeBytes { right in ByteOrder.compare(left, right) < 0 }
            }
        }
    }
}
