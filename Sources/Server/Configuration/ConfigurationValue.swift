import TOMLKit

/// A value as the file or the environment gives it, before anybody knows what it should be.
enum ConfigurationValue: Equatable {
    case string(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case list([ConfigurationValue])
    case table([String: ConfigurationValue])
    /// Dates and times; no key takes one.
    case other(String)
    /// From the environment, where nothing has a type.
    case bare(String)

    /// Copies a parsed document, so that no TOML type goes any further.
    init(_ value: TOMLValue) {
        switch value.type {
        case .string: self = .string(value.string ?? "")
        case .int: self = .integer(value.int ?? 0)
        case .double: self = .number(value.double ?? 0)
        case .bool: self = .boolean(value.bool ?? false)
        case .array: self = .list((value.array.map(Array.init) ?? []).map { Self($0.tomlValue) })
        case .table: self = .table(value.table.map(Self.entries) ?? [:])
        case .date, .time, .dateTime: self = .other(value.debugDescription)
        }
    }

    /// The entries of a table by key.
    static func entries(_ table: TOMLTable) -> [String: ConfigurationValue] {
        var entries: [String: ConfigurationValue] = [:]
        for key in table.keys {
            if let value = table[key] { entries[key] = Self(value.tomlValue) }
        }
        return entries
    }

    /// The text of a string, from either source.
    var text: String? {
        switch self {
        case .string(let text), .bare(let text): text
        case .integer, .number, .boolean, .list, .table, .other: nil
        }
    }

    /// The value of a whole number, from either source.
    var wholeNumber: Int? {
        switch self {
        case .integer(let value): value
        case .bare(let text): Int(text)
        case .string, .number, .boolean, .list, .table, .other: nil
        }
    }

    /// The value of a number, from either source.
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .bare(let text): Double(text)
        case .string, .boolean, .list, .table, .other: nil
        }
    }

    /// The value of `true` or `false`, from either source.
    var flag: Bool? {
        switch self {
        case .boolean(let value): value
        case .bare("true"): true
        case .bare("false"): false
        case .string, .bare, .integer, .number, .list, .table, .other: nil
        }
    }

    /// How the value looks in a file, shortened, for messages.
    var written: String {
        switch self {
        case .string(let text): "\"\(text.prefix(80))\""
        case .bare(let text): String(text.prefix(80))
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .boolean(let value): "\(value)"
        case .list: "[...]"
        case .table: "{...}"
        case .other(let text): text
        }
    }
}
