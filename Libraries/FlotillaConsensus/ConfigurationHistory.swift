import FlotillaWire

/// The configurations that a log holds from the last committed one on: each is in force from its append, and the one
/// before returns when it is truncated (Ongaro and Ousterhout 2014, section 6).
struct ConfigurationHistory: Sendable {
    typealias Item = (index: LogIndex, configuration: ClusterConfiguration)

    /// Ascending by index, never empty.
    private(set) var items: [Item]

    /// - Parameter commitIndex: what is committed at the start. A configuration behind it may be truncated; if there is
    ///   none before it, none is in force then.
    init(_ items: [Item], commitIndex: LogIndex) {
        let hasBase = items.first.map { $0.index <= commitIndex } ?? false
        self.items = (hasBase ? [] : [(index: .zero, configuration: ClusterConfiguration(members: []))]) + items
    }

    /// The one in force, with the index of its entry.
    var latest: Item { items[items.count - 1] }

    /// The last one at or before `commitIndex`.
    func committed(at commitIndex: LogIndex) -> Item {
        items.last { $0.index <= commitIndex } ?? items[0]
    }

    /// Adds one behind the latest.
    mutating func append(index: LogIndex, _ configuration: ClusterConfiguration) {
        precondition(index > latest.index, "configuration at \(index) behind the one at \(latest.index)")
        items.append((index: index, configuration: configuration))
    }

    /// Removes those from `index` on. The oldest one always stays: it was committed.
    ///
    /// - Returns: whether any was removed.
    mutating func truncate(from index: LogIndex) -> Bool {
        let count = items.count
        while items.count > 1, latest.index >= index { items.removeLast() }
        return items.count < count
    }

    /// Forgets those that can't return, since a later one is committed.
    ///
    /// - Returns: whether there were any.
    mutating func forget(before commitIndex: LogIndex) -> Bool {
        let count = items.count
        while items.count > 1, items[1].index <= commitIndex { items.removeFirst() }
        return items.count < count
    }

    /// Whether any of them names a server.
    func names(_ uid: ServerUID) -> Bool { items.contains { $0.configuration.member(uid) != nil } }
}
