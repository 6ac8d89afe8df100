/// The directories of a disk: what is visible, what is durable, and the changes in between.
///
/// Paths are absolute. A change is durable once its directory has been synced after it; one that renames across
/// directories, once either has been.
struct DiskNames {
    /// What a name stands for.
    enum Entry {
        case directory
        case file(DiskFile)

        /// Whether it is the very same thing.
        func isSame(_ other: Entry?) -> Bool {
            switch (self, other) {
            case (.directory, .directory): true
            case (.file(let one), .file(let two)): one === two
            default: false
            }
        }
    }

    private enum Change {
        case made(String, Entry)
        case removed(String, Entry)
        case renamed(from: String, to: String, Entry)

        func concerns(_ directory: String) -> Bool {
            switch self {
            case .made(let path, _), .removed(let path, _): DiskNames.parent(of: path) == directory
            case .renamed(let old, let new, _):
                DiskNames.parent(of: old) == directory || DiskNames.parent(of: new) == directory
            }
        }
    }

    private var visible: [String: Entry] = ["/": .directory]
    private var durable: [String: Entry] = ["/": .directory]
    private var pending: [(number: Int, change: Change)] = []
    /// The number of the last change.
    private(set) var lastChange = 0

    /// The directory that holds `path`.
    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// The last part of a path.
    static func name(of path: String) -> String {
        String(path[(path.lastIndex(of: "/") ?? path.startIndex)...].dropFirst())
    }

    subscript(path: String) -> Entry? { visible[path] }

    /// What a name stands for after a power failure in which everything that may be lost is.
    func durableEntry(_ path: String) -> Entry? { durable[path] }

    /// The names in a directory in ascending order.
    func names(in directory: String) -> [String] {
        visible.keys.filter { $0 != "/" && Self.parent(of: $0) == directory }.map { Self.name(of: $0) }.sorted()
    }

    /// All paths of files, in ascending order.
    var files: [(path: String, file: DiskFile)] {
        visible.keys.sorted().compactMap { path in
            if case .file(let file) = visible[path] { (path, file) } else { nil }
        }
    }

    /// All files that are visible or durable, in the order of their creation.
    var allFiles: [DiskFile] {
        var files: [Int: DiskFile] = [:]
        for names in [visible, durable] {
            for case .file(let file) in names.values { files[file.number] = file }
        }
        return files.values.sorted { $0.number < $1.number }
    }

    /// Makes a name, which must not be there.
    mutating func make(_ path: String, _ entry: Entry) {
        visible[path] = entry
        add(.made(path, entry))
    }

    /// Takes a name away.
    mutating func remove(_ path: String) {
        guard let entry = visible.removeValue(forKey: path) else { return }
        add(.removed(path, entry))
    }

    /// Gives something another name, replacing what has that name.
    mutating func rename(_ old: String, to new: String) {
        guard old != new, let entry = visible.removeValue(forKey: old) else { return }
        visible[new] = entry
        add(.renamed(from: old, to: new, entry))
    }

    /// Makes the changes in a directory durable, up to one that was the last when the sync was submitted.
    mutating func sync(_ directory: String, through last: Int) {
        pending.removeAll { number, change in
            guard number <= last, change.concerns(directory) else { return false }
            Self.apply(change, to: &durable)
            return true
        }
    }

    /// Loses changes that are not durable.
    ///
    /// - Parameter mode: 0 keeps none of them, 1 all, 2 the first few, 3 any.
    /// - Returns: how many were undone.
    mutating func losePower(mode: Int, _ random: inout Randomness) -> Int {
        let prefix = random.number(0...pending.count)
        var lost = 0
        for (place, (_, change)) in pending.enumerated() {
            let isKept =
                switch mode {
                case 0: false
                case 1: true
                case 2: place < prefix
                default: random.chance(perMille: 500)
                }
            if isKept { Self.apply(change, to: &durable) } else { lost += 1 }
        }
        // What is in a directory that was lost is lost with it. A directory comes before what is in it.
        for path in durable.keys.sorted() where path != "/" {
            if case .directory = durable[Self.parent(of: path)] { continue }
            durable[path] = nil
        }
        visible = durable
        pending = []
        return lost
    }

    private mutating func add(_ change: Change) {
        lastChange += 1
        pending.append((lastChange, change))
    }

    /// Changes that need an earlier one which was lost are lost too.
    private static func apply(_ change: Change, to names: inout [String: Entry]) {
        switch change {
        case .made(let path, let entry): names[path] = entry
        case .removed(let path, let entry): if entry.isSame(names[path]) { names[path] = nil }
        case .renamed(let old, let new, let entry):
            guard entry.isSame(names[old]) else { return }
            names[old] = nil
            names[new] = entry
        }
    }
}
