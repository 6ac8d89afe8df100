import Configuration
import Foundation
import SystemPackage
import Yams

/// The settings of a node from all the places that they may come from: flag over environment over file.
struct SettingLayers {
    private let reader: ConfigReader

    /// Takes the layers together.
    ///
    /// - Parameters:
    ///   - flags: what was given on the command line, lists joined by commas.
    ///   - environment: the process's; only names that begin with `FLOTILLA_` count.
    ///   - file: path of a YAML or JSON file.
    /// - Throws: `SettingError` when the file can't be read or holds a key that is no setting.
    init(flags: [SettingKey: String], environment: [String: String], file: String?) async throws {
        let given = flags.map { key, value in
            (AbsoluteConfigKey([key.rawValue]), ConfigValue(.string(value), isSecret: false))
        }
        var providers: [any ConfigProvider] = [
            InMemoryProvider(values: Dictionary(uniqueKeysWithValues: given)),
            EnvironmentVariablesProvider(environmentVariables: Self.own(environment)),
        ]
        if let file {
            try Self.check(file)
            do { providers.append(try await FileProvider<YAMLSnapshot>(filePath: FilePath(file))) } catch {
                throw SettingError(key: "config", "can't read \(file): \(error)")
            }
        }
        reader = ConfigReader(providers: providers)
    }

    private static let prefix = "FLOTILLA_"

    private static func own(_ environment: [String: String]) -> [String: String] {
        var own: [String: String] = [:]
        for (name, value) in environment where name.hasPrefix(prefix) {
            own[String(name.dropFirst(prefix.count))] = value
        }
        return own
    }

    /// A key that nobody reads is a typing error that would go unnoticed.
    private static func check(_ file: String) throws {
        let text: String
        do { text = try String(contentsOfFile: file, encoding: .utf8) } catch {
            throw SettingError(key: "config", "can't read \(file): \(error.localizedDescription)")
        }
        let keys: [String]
        do { keys = (try Yams.compose(yaml: text)?.mapping?.keys.map { $0.string ?? "?" }) ?? [] } catch {
            throw SettingError(key: "config", "\(file) is neither YAML nor JSON: \(error)")
        }
        for key in keys where SettingKey(rawValue: key) == nil {
            throw SettingError(key: key, "no setting has this name (in \(file))")
        }
    }

    /// The text of a setting; `nil` when no layer has it.
    func text(_ key: SettingKey) -> String? { reader.string(forKey: ConfigKey([key.rawValue])) }

    /// The elements of a setting that is a list.
    func list(_ key: SettingKey) -> [String] {
        if let text = text(key) { return text.split(separator: ",").map(String.init) }
        return reader.stringArray(forKey: ConfigKey([key.rawValue])) ?? []
    }

    /// A setting that must be there.
    func required(_ key: SettingKey) throws -> String {
        guard let text = text(key), !text.isEmpty else {
            throw SettingError(key, "must be given (--\(key.rawValue))")
        }
        return text
    }

    /// A whole number above zero.
    func size(_ key: SettingKey) throws -> Int? {
        guard let text = text(key) else { return nil }
        guard let number = Int(text), number > 0 else {
            throw SettingError(key, "'\(text)' is no whole number above zero")
        }
        return number
    }

    /// A number of seconds above zero and up to a day, with three digits behind the point at most that count.
    func seconds(_ key: SettingKey) throws -> Duration? {
        guard let text = text(key) else { return nil }
        guard let number = Double(text), number >= 0.001, number <= 86_400 else {
            throw SettingError(key, "'\(text)' is no number of seconds above zero and up to a day")
        }
        return .milliseconds(Int64(number * 1_000))
    }

    /// One of some words.
    func choice<Choice>(_ key: SettingKey, _ choices: [(String, Choice)]) throws -> Choice? {
        guard let text = text(key) else { return nil }
        guard let choice = choices.first(where: { $0.0 == text }) else {
            let words = choices.map(\.0).joined(separator: ", ")
            throw SettingError(key, "'\(text)' is none of \(words)")
        }
        return choice.1
    }
}
