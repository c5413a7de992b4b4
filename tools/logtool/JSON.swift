import LogStore

/// A JSON document whose fields keep their order.
indirect enum JSON {
    case object([(String, JSON)])
    case array([JSON])
    case string(String)
    /// A whole number, as digits.
    case digits(String)
    case bool(Bool)
    case null

    static func number(_ value: some BinaryInteger) -> JSON { .digits(String(value)) }

    static func optional(_ value: (some BinaryInteger)?) -> JSON {
        value.map { .number($0) } ?? .null
    }

    static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    /// One piece of damage; every verb lists it the same way.
    static func damage(_ damage: Damage) -> JSON {
        let entries = damage.entries.map { range in
            JSON.object([("first", .number(range.first)), ("count", .number(range.count))])
        }
        return .object([
            ("file", .string(damage.file)),
            ("offset", .number(damage.offset)),
            ("length", .number(damage.length)),
            ("queue", .optional(damage.queue)),
            ("entries", .array(entries)),
            ("reason", .string(damage.reason)),
        ])
    }

    /// The document, indented by two.
    var text: String {
        var text = ""
        write(to: &text, indent: "")
        return text
    }

    private func write(to text: inout String, indent: String) {
        switch self {
        case .object(let fields):
            Self.write("{", fields, "}", to: &text, indent: indent) { field, text, indent in
                text += Self.quoted(field.0) + ": "
                field.1.write(to: &text, indent: indent)
            }
        case .array(let items):
            Self.write("[", items, "]", to: &text, indent: indent) { item, text, indent in
                item.write(to: &text, indent: indent)
            }
        case .string(let value): text += Self.quoted(value)
        case .digits(let value): text += value
        case .bool(let value): text += value ? "true" : "false"
        case .null: text += "null"
        }
    }

    private static func write<Item>(
        _ open: String,
        _ items: [Item],
        _ close: String,
        to text: inout String,
        indent: String,
        _ body: (Item, inout String, String) -> Void
    ) {
        text += open
        let inner = indent + "  "
        for (index, item) in items.enumerated() {
            text += (index == 0 ? "\n" : ",\n") + inner
            body(item, &text, inner)
        }
        if !items.isEmpty { text += "\n" + indent }
        text += close
    }

    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
