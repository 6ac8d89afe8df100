import Foundation
import Testing

/// The kernel decides; it must not be able to wait. So nothing that does I/O, has threads or reads clocks may be
/// imported by it or by the floors that it stands on.
@Suite struct ImportsTests {
    @Test(arguments: ["FlotillaWire", "FlotillaConsensus", "FlotillaMachine", "FlotillaMachines", "FlotillaKernel"])
    func `the synchronous floors import no I/O`(library: String) throws {
        let allowed: Set = [
            "FlotillaWire", "FlotillaConsensus", "FlotillaStorage", "FlotillaMachine", "CFlotilla", "NIOCore",
            "DequeModule", "HeapModule", "SortedCollections",
        ]
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = root.appending(path: "Libraries/\(library)")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files where file.pathExtension == "swift" {
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
            where line.hasPrefix("import ") {
                let module = String(line.dropFirst("import ".count))
                #expect(allowed.contains(module), "\(file.lastPathComponent) imports \(module)")
            }
        }
    }
}
