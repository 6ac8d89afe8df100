import FlotillaWire
import Synchronization

/// Open segment files, the least recently used of which is closed when there are too many.
///
/// Nobody waits while the lock is held. A file that is in use stays open until its last user has let go of it, whether
/// or not its segment is still wanted.
final class SegmentCache: Sendable {
    private struct Key: Equatable {
        var uid: ServerUID
        var number: UInt64
        var salt: UInt64

        init(_ segment: Segment) {
            uid = segment.uid
            number = segment.number
            salt = segment.salt
        }
    }

    private struct Slot {
        var key: Key
        var segment: SegmentFile
        var users = 0
        var lastUse: UInt64 = 0
        /// Whether nobody may find it any more.
        var isRetired = false
    }

    private struct State {
        /// Few enough to be searched one by one.
        var slots: [Slot] = []
        var uses: UInt64 = 0
    }

    private let capacity: Int
    private let files: AsyncFiles
    private let state = Mutex(State())

    /// - Parameter capacity: how many files may be open; files in use are kept open above it.
    init(capacity: Int, files: AsyncFiles) {
        precondition(capacity > 0, "a cache that holds nothing")
        self.capacity = capacity
        self.files = files
    }

    /// How many files are open.
    var count: Int { state.withLock { $0.slots.count } }

    /// The open file of a segment, if there is one; to be let go of after use.
    func take(_ segment: Segment) -> SegmentFile? {
        state.withLock { state in Self.take(Key(segment), &state) }
    }

    /// Adds a file that was opened for a segment, and takes it. If another job was faster, its file is taken and this
    /// one closed.
    func add(_ opened: SegmentFile, for segment: Segment) async -> SegmentFile {
        let other = state.withLock { state -> SegmentFile? in
            if let other = Self.take(Key(segment), &state) { return other }
            state.uses += 1
            state.slots.append(Slot(key: Key(segment), segment: opened, users: 1, lastUse: state.uses))
            return nil
        }
        await close(other == nil ? takeSurplus() : [opened.file])
        return other ?? opened
    }

    /// Lets go of a file.
    func release(_ segment: SegmentFile) async {
        state.withLock { state in
            guard let place = state.slots.firstIndex(where: { $0.segment.file == segment.file }) else {
                preconditionFailure("a file that nobody has taken")
            }
            state.slots[place].users -= 1
        }
        await close(takeSurplus())
    }

    /// Closes files of a server whose segments are no longer wanted.
    func forget(_ uid: ServerUID, _ isUnwanted: @Sendable (UInt64) -> Bool) async {
        state.withLock { state in
            for place in state.slots.indices
            where state.slots[place].key.uid == uid && isUnwanted(state.slots[place].key.number) {
                state.slots[place].isRetired = true
            }
        }
        await close(takeSurplus())
    }

    private static func take(_ key: Key, _ state: inout State) -> SegmentFile? {
        guard let place = state.slots.firstIndex(where: { $0.key == key && !$0.isRetired }) else { return nil }
        state.uses += 1
        state.slots[place].users += 1
        state.slots[place].lastUse = state.uses
        return state.slots[place].segment
    }

    /// Takes the files out that are to be closed.
    private func takeSurplus() -> [OpenFile] {
        state.withLock { state in
            var surplus: [OpenFile] = []
            while let place = place(ofSurplusIn: state) { surplus.append(state.slots.remove(at: place).segment.file) }
            return surplus
        }
    }

    private func place(ofSurplusIn state: State) -> Int? {
        guard state.slots.count > capacity || state.slots.contains(where: \.isRetired) else { return nil }
        let idle = state.slots.indices.filter { state.slots[$0].users == 0 }
        if let retired = idle.first(where: { state.slots[$0].isRetired }) { return retired }
        guard state.slots.count > capacity else { return nil }
        return idle.min { state.slots[$0].lastUse < state.slots[$1].lastUse }
    }

    private func close(_ surplus: [OpenFile]) async {
        // Files that were only read: nothing is lost when closing one fails.
        for file in surplus { _ = try? await files.perform(.close(file)) }
    }
}
