import FlotillaWire

extension KeyTree {
    /// The pairs whose keys begin with `prefix` and stand after `after`, in order: at most `limit` of them, or the
    /// system's own limit if that is less or `limit` is not positive, and no more bytes than `Limits.listBytes` unless
    /// the first pair alone has more.
    ///
    /// - Returns: the pairs, and whether there are more behind them.
    func page(prefix: [UInt8], after: KeyValue.Key?, limit: Int) -> (pairs: [KeyPair], more: Bool) {
        let most = limit > 0 ? min(limit, Limits.listKeys) : Limits.listKeys
        var pairs: [KeyPair] = []
        var bytes = 0
        var more = false
        visit(from: max(KeyValue.Key(prefix), after ?? KeyValue.Key([]))) { pair in
            if let after, pair.key.equals(after.bytes) { return true }
            guard pair.key.hasPrefix(prefix) else { return false }
            guard pairs.isEmpty || pairs.count < most && bytes + pair.byteCount <= Limits.listBytes else {
                more = true
                return false
            }
            bytes += pair.byteCount
            pairs.append(pair)
            return true
        }
        return (pairs, more)
    }
}
