import FlotillaStorage
import FlotillaWire
import Glibc
import Testing

@Suite struct SettingsTests {
    private func refusal(_ change: (inout WALSettings) -> Void) -> String {
        var settings = WALSettings(directory: "/wal")
        change(&settings)
        do {
            try settings.validate()
            return ""
        } catch {
            #expect(error.code == .setting)
            return error.message
        }
    }

    @Test func theDefaultsMakeSense() { #expect(refusal { _ in } == "") }

    @Test func nonsenseIsRefusedByTheNameThatUsersKnow() {
        #expect(refusal { $0.fileBytes = 0 }.contains("wal-max-size-bytes"))
        #expect(refusal { $0.fileBytes = 16 << 20 }.contains("wal-max-size-bytes"))
        #expect(refusal { $0.fileBytes += 1 }.contains("wal-max-size-bytes"))
        #expect(refusal { $0.maxTotalBytes = 1 << 20 }.contains("wal-max-total-bytes"))
        #expect(refusal { $0.preparedFiles = 0 }.contains("wal-prepared-files"))
        #expect(refusal { $0.batchBytes = 1 }.contains("wal-max-batch-bytes"))
        #expect(refusal { $0.commandBytes = 17 << 20 }.contains("max-command-bytes"))
        #expect(refusal { $0.directory = "" }.contains("wal-data-dir"))
    }

    @Test func directWritesAreTakenWhereTheFileSystemTakesThem() async throws {
        let disk = MemoryDisk()
        try await disk.files.durablyMakeDirectory("/wal")
        let settings = WALSettings(directory: "/wal")
        #expect(try await settings.resolveWriteMode(disk.files) == .direct)
        disk.disk.refuseDirect()
        #expect(try await settings.resolveWriteMode(disk.files) == .dataSync)
        #expect(disk.disk.names(in: "/wal").isEmpty)
    }
}
