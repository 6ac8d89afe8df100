import FlotillaWire

extension KeyTree {
    /// The pairs whose keys begin with `prefix` and stand after `after`, in order: at most `limit` of them, or the
    /// system's own limit if that is less or `limit` is not positive, and no more bytes than `Limits.listBytes` unless
    /// the first pair alone has more.
    func page(prefix: [UInt8], after: KeyValue.Key?, limit: Int) -> KeyValue.Answer {
        let most = limit > 0 ? min(limit, Limits.listKeys) : Limits.listKeys
        var items: [KeyValue.Item] = []
        var bytes = 0
        var more = false
        visit(from: max(KeyValue.Key(prefix), after ?? KeyValue.Key([]))) { pair in
            let key = pair.key
            if key == after { return true }
            guard key.hasPrefix(prefix) else { return false }
            guard items.isEmpty || items.count < most && bytes + pair.byteCount <= Limits.listBytes else {
                more = true
                return false
            }
            bytes += pair.byteCount
            items.append(KeyValue.Item(pair))
            return true
        }
        return .page(items, more: more)
    }
}
