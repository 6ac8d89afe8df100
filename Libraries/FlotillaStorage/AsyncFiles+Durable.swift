/// The only ways in which storage makes files and directories appear, so that no directory sync is ever forgotten.
extension AsyncFiles {
    /// Puts a small file in place so that a crash leaves either the old one or the new one, whole: written under
    /// another name, synced, renamed, and the directory synced.
    ///
    /// - Parameter memory: holds the contents in its first `count` bytes.
    public func durablyReplace(
        _ name: String, in directory: String, count: Int, from memory: AlignedMemory
    ) async throws(FileSystemError) {
        let temporary = "\(directory)/\(name).tmp"
        try await removeIfThere(temporary)
        try await with(temporary, [.write, .createNew]) { (file) async throws(FileSystemError) in
            try await perform(.write(file, at: 0, count: count, from: memory))
            try await perform(.syncAll(file))
        }
        try await durablyRename(temporary, to: "\(directory)/\(name)", in: directory)
    }

    /// Renames inside one directory and syncs the directory.
    public func durablyRename(
        _ old: String, to new: String, in directory: String
    ) async throws(FileSystemError) {
        try await perform(.rename(from: old, to: new))
        try await perform(.syncDirectory(path: directory))
    }

    /// Makes a directory with all that are missing above it, and syncs each one's parent.
    public func durablyMakeDirectory(_ path: String) async throws(FileSystemError) {
        var missing: [String] = []
        var current = path
        while !current.isEmpty, try await !isDirectory(current) {
            missing.append(current)
            current = Self.parent(of: current)
        }
        // Whoever made the last one that is there may have been killed before its name was durable.
        if !current.isEmpty, current != "/" { try await syncParentIfAllowed(of: current) }
        for directory in missing.reversed() {
            do {
                try await perform(.makeDirectory(path: directory))
            } catch {
                guard error.isAlreadyThere else { throw error }
            }
            try await syncParent(of: directory)
        }
    }

    /// A directory above that may not be read was made by somebody else, who answers for its name.
    private func syncParentIfAllowed(of path: String) async throws(FileSystemError) {
        do { try await syncParent(of: path) } catch {
            guard error.isNotAllowed else { throw error }
        }
    }

    private func syncParent(of path: String) async throws(FileSystemError) {
        let parent = Self.parent(of: path)
        try await perform(.syncDirectory(path: parent.isEmpty ? "." : parent))
    }

    /// Removes a file unless it is gone already.
    public func removeIfThere(_ path: String) async throws(FileSystemError) {
        do {
            try await perform(.remove(path: path))
        } catch {
            guard error.isNotFound else { throw error }
        }
    }

    private func isDirectory(_ path: String) async throws(FileSystemError) -> Bool {
        do {
            _ = try await list(path)
            return true
        } catch {
            if error.isNotFound { return false }
            throw error
        }
    }

    /// The directory that holds `path`; empty for a relative path of one part.
    static func parent(of path: String) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.last == "/" { trimmed = trimmed.dropLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "" }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }
}
