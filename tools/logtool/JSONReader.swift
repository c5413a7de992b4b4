/// A JSON value as it was read; strings are bytes, which may be any that JSON can say.
indirect enum JSONValue {
    case object([(name: [UInt8], value: JSONValue)])
    case array([JSONValue])
    case string([UInt8])
    /// A whole number from 0 on.
    case number(UInt64)
    /// Any other number: nothing here has a use for it.
    case otherNumber
    case bool(Bool)
    case null

    var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }

    subscript(name: StaticString) -> JSONValue? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.name.elementsEqual(name.description.utf8) }?.value
    }

    var string: [UInt8]? { if case .string(let value) = self { value } else { nil } }
    var number: UInt64? { if case .number(let value) = self { value } else { nil } }
    var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
}

/// Reads one JSON text (RFC 8259).
struct JSONReader {
    /// What is wrong, and at which byte.
    struct Failure: Error {
        let offset: Int
        let reason: String
    }

    /// Deeper nesting is nobody's intent and would cost stack.
    private static let depthMax = 32

    private let bytes: [UInt8]
    private var at = 0

    /// The value that `bytes` are, with nothing behind it.
    static func read(_ bytes: [UInt8]) throws(Failure) -> JSONValue {
        var reader = JSONReader(bytes)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.at == bytes.count else { throw reader.failure("something follows the value") }
        return value
    }

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    private func failure(_ reason: String) -> Failure { Failure(offset: at, reason: reason) }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
            at += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(Failure) -> JSONValue {
        guard depth < Self.depthMax else { throw failure("it is nested too deeply") }
        skipSpace()
        guard let next else { throw failure("it ends where a value must be") }
        switch next {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): return number()
        default: throw failure("no value begins here")
        }
    }

    private mutating func word(
        _ word: StaticString,
        _ value: JSONValue
    ) throws(Failure) -> JSONValue {
        let letters = Array(word.description.utf8)
        guard bytes[at...].starts(with: letters) else { throw failure("no value begins here") }
        at += letters.count
        return value
    }

    private mutating func number() -> JSONValue {
        let start = at
        while let byte = next, "0123456789+-.eE".utf8.contains(byte) { at += 1 }
        return UInt64(String(decoding: bytes[start..<at], as: UTF8.self)).map { .number($0) }
            ?? .otherNumber
    }

    private mutating func object(_ depth: Int) throws(Failure) -> JSONValue {
        at += 1
        var fields: [(name: [UInt8], value: JSONValue)] = []
        skipSpace()
        if take("}") { return .object(fields) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw failure("a field's name must be here") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw failure("a colon must be here") }
            fields.append((name, try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(fields) }
            guard take(",") else { throw failure("a comma or } must be here") }
        }
    }

    private mutating func array(_ depth: Int) throws(Failure) -> JSONValue {
        at += 1
        var items: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(items) }
        while true {
            items.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(items) }
            guard take(",") else { throw failure("a comma or ] must be here") }
        }
    }

    // MARK: Strings

    private mutating func string() throws(Failure) -> [UInt8] {
        at += 1
        var text: [UInt8] = []
        while true {
            let start = at
            while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"),
                byte >= 0x20
            {
                at += 1
            }
            text += bytes[start..<at]
            guard let byte = next else { throw failure("a string has no end") }
            guard byte >= 0x20 else { throw failure("a control character stands in a string") }
            at += 1
            if byte == UInt8(ascii: "\"") { return text }
            try escape(&text)
        }
    }

    private mutating func escape(_ text: inout [UInt8]) throws(Failure) {
        guard let byte = next else { throw failure("a string has no end") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try fourDigits()
            if (0xD800..<0xDC00).contains(code) {
                guard take("\\"), take("u") else { throw failure("half of a surrogate pair") }
                let low = try fourDigits()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw failure("half of a surrogate pair")
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw failure("half of a surrogate pair")
            }
            text += String(scalar).utf8
        default: throw failure("an escape that JSON does not have")
        }
    }

    private mutating func fourDigits() throws(Failure) -> UInt32 {
        guard at + 4 <= bytes.count,
            let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
        else { throw failure("four hexadecimal digits must be here") }
        at += 4
        return code
    }
}
