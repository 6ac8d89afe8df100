import Foundation
import Logging

/// Writes one line a message to standard error, as text or as JSON.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let format: NodeSettings.LogFormat
    let label: String

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let own = metadata.merging(event.metadata ?? [:]) { _, new in new }
        let pairs = own.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let time = Date.now.formatted(.iso8601.time(includingFractionalSeconds: true))
        let line =
            switch format {
            case .text: text(event.level, "\(event.message)", pairs, time)
            case .json: json(event.level, "\(event.message)", pairs, time)
            }
        // There is nobody to tell when even this fails.
        try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
    }

    private func text(_ level: Logger.Level, _ message: String, _ pairs: [(String, String)], _ time: String) -> String {
        let rest = pairs.map { " \($0.0)=\($0.1)" }.joined()
        return "\(time) \(level) \(message)\(rest)"
    }

    private func json(_ level: Logger.Level, _ message: String, _ pairs: [(String, String)], _ time: String) -> String {
        var object = Dictionary(pairs) { first, _ in first }
        object["time"] = time
        object["level"] = level.rawValue
        object["message"] = message
        object["logger"] = label
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(object) else { return text(level, message, pairs, time) }
        return String(decoding: data, as: UTF8.self)
    }
}
