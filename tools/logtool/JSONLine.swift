import Base
import LogStore

/// One line of JSON, built field by field into bytes that are kept for the next line.
struct JSONLine {
    private(set) var bytes: [UInt8] = []

    /// Empties the line; its memory stays, unless one huge body made it large.
    mutating func clear() {
        bytes.removeAll(keepingCapacity: bytes.count < 1 << 20)
    }

    // MARK: Structure

    mutating func openObject(_ name: StaticString? = nil) {
        key(name)
        bytes.append(UInt8(ascii: "{"))
    }

    /// Begins a part of an object, to be appended behind other fields.
    mutating func continueObject() { bytes.append(UInt8(ascii: ",")) }

    mutating func closeObject() { bytes.append(UInt8(ascii: "}")) }

    mutating func openArray(_ name: StaticString? = nil) {
        key(name)
        bytes.append(UInt8(ascii: "["))
    }

    mutating func closeArray() { bytes.append(UInt8(ascii: "]")) }

    mutating func endLine() { bytes.append(UInt8(ascii: "\n")) }

    mutating func append(_ line: JSONLine) { bytes += line.bytes }

    private mutating func key(_ name: StaticString?) {
        if let last = bytes.last, last != UInt8(ascii: "{"), last != UInt8(ascii: "["),
            last != UInt8(ascii: ":"), last != UInt8(ascii: ",")
        {
            bytes.append(UInt8(ascii: ","))
        }
        guard let name else { return }
        append(name.description.utf8)
    }

    private mutating func append(_ plainName: some Sequence<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        bytes += plainName
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    // MARK: Fields

    mutating func field(_ name: StaticString, _ value: some BinaryInteger) {
        key(name)
        bytes += String(value).utf8
    }

    mutating func field(_ name: StaticString, _ value: Bool) {
        key(name)
        bytes += value ? "true".utf8 : "false".utf8
    }

    mutating func field(_ name: StaticString, _ value: String) {
        key(name)
        quote(value)
    }

    /// A field whose name comes from outside.
    mutating func field(named name: [UInt8], text: [UInt8]) {
        key(nil)
        quote(repaired: name)
        bytes.append(UInt8(ascii: ":"))
        quote(repaired: text)
    }

    mutating func field(_ name: StaticString, text: [UInt8]) {
        key(name)
        quote(repaired: text)
    }

    mutating func field(_ name: StaticString, base64 value: [UInt8]) {
        key(name)
        bytes.append(UInt8(ascii: "\""))
        Base64.append(value, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func element(_ value: some BinaryInteger) {
        key(nil)
        bytes += String(value).utf8
    }

    mutating func element(text: [UInt8]) {
        key(nil)
        quote(repaired: text)
    }

    // MARK: Strings

    private mutating func quote(_ value: String) {
        var value = value
        let escaped: Void? = value.utf8.withContiguousStorageIfAvailable { quote($0) }
        if escaped == nil { value.withUTF8 { quote($0) } }
    }

    /// Bytes that are no UTF-8 become the replacement character.
    private mutating func quote(repaired value: [UInt8]) {
        if UTF8Text.isValid(value) {
            quote(value)
        } else {
            quote(String(decoding: value, as: UTF8.self))
        }
    }

    private mutating func quote(_ utf8: some RandomAccessCollection<UInt8>) {
        bytes.reserveCapacity(bytes.count + utf8.count + 2)
        bytes.append(UInt8(ascii: "\""))
        var start = utf8.startIndex
        for index in utf8.indices {
            let byte = utf8[index]
            guard
                byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
                    || byte == 0x7F
            else { continue }
            bytes += utf8[start..<index]
            start = utf8.index(after: index)
            escape(byte)
        }
        bytes += utf8[start...]
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        case UInt8(ascii: "\n"): bytes.append(UInt8(ascii: "n"))
        case UInt8(ascii: "\r"): bytes.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\t"): bytes.append(UInt8(ascii: "t"))
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes += "u00".utf8
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }
}

/// Whether bytes are text.
enum UTF8Text {
    static func isValid(_ bytes: [UInt8]) -> Bool {
        do {
            _ = try UTF8Span(validating: bytes.span)
            return true
        } catch {
            return false
        }
    }
}

/// Base 64 (RFC 4648, section 4), with padding.
enum Base64 {
    private static let letters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, letter) in letters.enumerated() { values[Int(letter)] = UInt8(value) }
        return values
    }()

    static func append(_ value: [UInt8], to out: inout [UInt8]) {
        out.reserveCapacity(out.count + (value.count + 2) / 3 * 4)
        let letters = letters
        var index = 0
        while index + 2 < value.count {
            let word =
                UInt32(value[index]) << 16 | UInt32(value[index + 1]) << 8
                | UInt32(value[index + 2])
            out.append(letters[Int(word >> 18 & 63)])
            out.append(letters[Int(word >> 12 & 63)])
            out.append(letters[Int(word >> 6 & 63)])
            out.append(letters[Int(word & 63)])
            index += 3
        }
        let rest = value.count - index
        guard rest > 0 else { return }
        let word =
            UInt32(value[index]) << 16 | (rest > 1 ? UInt32(value[index + 1]) << 8 : 0)
        out.append(letters[Int(word >> 18 & 63)])
        out.append(letters[Int(word >> 12 & 63)])
        out.append(rest > 1 ? letters[Int(word >> 6 & 63)] : UInt8(ascii: "="))
        out.append(UInt8(ascii: "="))
    }

    /// The bytes, or nothing if the text is not exactly what `append` writes.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        guard !text.isEmpty else { return [] }
        let padding = text.suffix(2).count { $0 == UInt8(ascii: "=") }
        let count = text.count - padding
        var out: [UInt8] = []
        out.reserveCapacity(text.count / 4 * 3)
        let values = values
        var word: UInt32 = 0
        var bits: UInt32 = 0
        for index in 0..<count {
            let value = values[Int(text[index])]
            guard value < 64 else { return nil }
            word = word << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: word >> bits))
                word &= (1 << bits) - 1
            }
        }
        guard word == 0, bits == UInt32(padding * 2) else { return nil }
        return out
    }
}
