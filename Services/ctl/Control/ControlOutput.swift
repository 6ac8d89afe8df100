import Foundation

/// Where bytes go: standard output, standard error, or a test's memory.
public struct ControlOutput: Sendable {
    /// Takes bytes, in order.
    public let write: @Sendable ([UInt8]) -> Void

    /// An output that does something with bytes.
    public init(_ write: @escaping @Sendable ([UInt8]) -> Void) { self.write = write }

    /// The process's standard output.
    public static let standardOutput = ControlOutput { try? FileHandle.standardOutput.write(contentsOf: Data($0)) }
    /// The process's standard error.
    public static let standardError = ControlOutput { try? FileHandle.standardError.write(contentsOf: Data($0)) }

    /// Writes a line of text.
    public func line(_ text: String) { write(Array(text.utf8) + [UInt8(ascii: "\n")]) }
}

/// What a command has around it.
public struct ControlContext: Sendable {
    /// For results.
    public var output: ControlOutput
    /// For everything else.
    public var errors: ControlOutput
    /// The environment variables.
    public var environment: [String: String]

    /// A context of these parts.
    public init(output: ControlOutput, errors: ControlOutput, environment: [String: String]) {
        self.output = output
        self.errors = errors
        self.environment = environment
    }

    /// That of the process.
    public static var process: ControlContext {
        ControlContext(
            output: .standardOutput, errors: .standardError, environment: ProcessInfo.processInfo.environment)
    }

    /// Writes a value as one line of JSON with its keys in order.
    func json(_ value: some Encodable) throws { output.write(try JSON.encode(value) + [UInt8(ascii: "\n")]) }
}

enum JSON {
    /// One line, keys in order.
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }
}
