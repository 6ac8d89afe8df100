import FlotillaStorage
import FlotillaWire

/// What `doctor` prints as JSON.
struct DoctorView: Encodable {
    struct Server: Encodable {
        var uid: String
        var name: String?
        var cluster: String?
    }

    struct Found: Encodable {
        var file: String
        var offset: UInt64
        var length: UInt64?
        var server: Server?
        var first_entry: UInt64?
        var last_entry: UInt64?
        var text: String
        var advice: String

        init(_ finding: Finding) {
            file = finding.file
            offset = finding.offset
            length = finding.length > 0 ? finding.length : nil
            server = finding.server.map {
                Server(uid: $0.uid.description, name: $0.id?.description, cluster: $0.cluster?.description)
            }
            first_entry = finding.entries?.lowerBound.rawValue
            last_entry = finding.entries?.upperBound.rawValue
            text = finding.text
            advice = finding.advice
        }
    }

    struct Summary: Encodable {
        var files: UInt64
        var bytes: UInt64
        var servers: UInt64
        var entries: UInt64
        var problems: UInt64
        var notes: UInt64
    }

    var data_directory: String
    var problems: [Found]
    var notes: [Found]
    var summary: Summary

    init(_ directory: String, _ findings: [Finding], _ summary: DoctorSummary) {
        data_directory = directory
        problems = findings.filter { $0.severity == .problem }.map { Found($0) }
        notes = findings.filter { $0.severity == .note }.map { Found($0) }
        self.summary = Summary(
            files: summary.files, bytes: summary.bytes, servers: summary.servers, entries: summary.entries,
            problems: summary.problems, notes: summary.notes)
    }
}
