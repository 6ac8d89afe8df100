import ArgumentParser
import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import NIOPosix

struct ImportCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Stores the lines of a file, key TAB value each.",
        discussion: """
            A put whose outcome is unknown is put again, which changes nothing if it had been applied. The import \
            stops at the first line that can't be used and at the first put that is refused; lines before it may be \
            stored.
            """)

    @Argument(help: ArgumentHelp("The file; - for standard input.", valueName: "file.tsv")) var file: String
    @OptionGroup var global: GlobalOptions

    func execute(_ context: ControlContext) async throws {
        let handle = try open()
        let began = ContinuousClock.now
        let ledger = ImportLedger()
        try await global.withClient(context) { client in
            let cluster = try await global.cluster(client, "kv", of: KeyValue.self)
            await Importer(cluster: cluster, ledger: ledger, errors: context.errors, handle: handle).run()
        }
        let elapsed = began.duration(to: .now)
        try report(ledger.counts, elapsed, context)
        if let failure = ledger.failure { throw failure }
    }

    private func open() throws -> FileHandle {
        if file == "-" { return .standardInput }
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw ControlFailure(ControlFailure.usage, "can't read \(file)")
        }
        return handle
    }

    private func report(_ counts: ImportLedger.Counts, _ elapsed: Duration, _ context: ControlContext) throws {
        let seconds = elapsed / .seconds(1)
        let rate = seconds > 0 ? Double(counts.acknowledged) / seconds : 0
        if global.output == .json {
            try context.json(
                ImportView(
                    acknowledged: counts.acknowledged, repeated: counts.repeated, refused: counts.refused,
                    seconds: seconds, records_per_second: rate))
        } else {
            context.output.line(
                "\(counts.acknowledged) acknowledged, \(counts.repeated) with unknown outcome repeated, "
                    + "\(seconds.text(3)) s, \(rate.text(0)) records/s")
        }
    }
}

/// What `import` prints as JSON.
struct ImportView: Encodable {
    var acknowledged: Int
    var repeated: Int
    var refused: Int
    var seconds: Double
    var records_per_second: Double
}

/// Reads, puts, repeats and counts, each in a task of its own.
struct Importer: Sendable {
    static let chunkByteCount = 1 << 20

    let cluster: ClusterClient<KeyValue>
    let ledger: ImportLedger
    let errors: ControlOutput
    let handle: FileHandle

    func run() async {
        let pipeline = cluster.pipeline(openCommands: 4_096, openBytes: 16 << 20)
        let (repeats, again) = AsyncStream.makeStream(of: UInt64.self)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await correlation in repeats {
                    guard let record = ledger.record(correlation) else { continue }
                    await put(record, correlation, pipeline)
                }
            }
            group.addTask {
                await read(into: pipeline)
                ledger.endOfFile()
                if ledger.isDone { pipeline.finish() }
            }
            await take(pipeline, again)
            again.finish()
        }
    }

    private func take(
        _ pipeline: AsyncPipeline<KeyValue>, _ again: AsyncStream<UInt64>.Continuation
    ) async {
        var reported = ContinuousClock.now
        for await batch in pipeline.notifications {
            for notification in batch.commands where ledger.note(notification.correlation, notification.result) {
                again.yield(notification.correlation)
            }
            if ledger.isDone { pipeline.finish() }
            if reported.duration(to: .now) >= .seconds(1) {
                reported = .now
                errors.line("\(ledger.counts.acknowledged) acknowledged")
            }
        }
    }

    private func read(into pipeline: AsyncPipeline<KeyValue>) async {
        var reader = TSVReader()
        while ledger.failure == nil {
            do {
                let chunk = try await NIOThreadPool.singleton.runIfActive { [handle] in
                    try handle.read(upToCount: Self.chunkByteCount) ?? Data()
                }
                let (records, error) = reader.read(chunk, isLast: chunk.isEmpty)
                for record in records where ledger.failure == nil {
                    await put(record, ledger.begin(record), pipeline)
                }
                if let error { ledger.fail(ControlFailure(ControlFailure.usage, "\(error)")) }
                if chunk.isEmpty { return }
            } catch {
                ledger.fail(ControlFailure(ControlFailure.usage, "reading failed: \(error)"))
            }
        }
    }

    private func put(_ record: TSVRecord, _ correlation: UInt64, _ pipeline: AsyncPipeline<KeyValue>) async {
        do {
            let command = KeyValue.Command.put(KeyValue.Key(record.key), ByteBuffer(bytes: record.value), ifIndex: nil)
            try await pipeline.submit(command, correlation: correlation)
        } catch {
            let failure = (error as? FlotillaError) ?? FlotillaError(.internalError, "\(error)")
            _ = ledger.note(correlation, .failure(failure))
        }
    }
}

extension Double {
    /// With a fixed number of digits behind the point.
    func text(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}
