import FlotillaStorage

/// A disk as one user inside one process sees it. It ends with the process, and the disk goes on.
///
/// Unchecked, because a world runs on one thread: nothing of a disk is ever touched by two.
package final class DiskMount: FileSystem, @unchecked Sendable {
    private let disk: SimulatedDisk
    private let handler: FileCompletionHandler
    let number: Int

    init(_ disk: SimulatedDisk, number: Int, handler: @escaping FileCompletionHandler) {
        self.disk = disk
        self.number = number
        self.handler = handler
    }

    /// Starts an operation; it completes later, by the scheduler. After the end of the process it fails.
    package func submit(_ operation: FileOperation, token: UInt64) {
        disk.submit(operation, token: token, mount: number, handler: handler)
    }

    /// Ends what the process does through this mount; see `SimulatedDisk.processEnded`.
    package func end() { disk.processEnded(self) }
}
