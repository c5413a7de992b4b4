// Header escapes. STOMP 1.0 has none. STOMP 1.1 has `\n` (line feed), `\c` (colon) and `\\`
// (backslash); STOMP 1.2 adds `\r` (carriage return). CONNECT and CONNECTED are never escaped.
// Any other escape is an error. A bare colon in a value is accepted, for many clients send one.

/// Header escapes of the three versions.
enum StompEscaping {
    /// True if every backslash in `range` begins an escape that `version` defines.
    static func isValid(_ span: RawSpan, _ range: Range<Int>, version: StompVersion) -> Bool {
        var offset = range.lowerBound
        while let hit = span.firstOffset(of: .backslash, in: offset..<range.upperBound) {
            guard hit + 1 < range.upperBound,
                unescaped(span[byte: hit + 1], version: version) != nil
            else { return false }
            offset = hit + 2
        }
        return true
    }

    /// The byte that an escape stands for, given the byte after its backslash.
    static func unescaped(_ byte: UInt8, version: StompVersion) -> UInt8? {
        switch byte {
        case UInt8(ascii: "n"): .lineFeed
        case UInt8(ascii: "c"): .colon
        case UInt8(ascii: "\\"): .backslash
        case UInt8(ascii: "r"): version == .v12 ? .carriageReturn : nil
        default: nil
        }
    }

    /// The bytes without escapes; with `escapes` nil they are taken as they are.
    static func decodedBytes(
        _ span: RawSpan,
        _ range: Range<Int>,
        escapes version: StompVersion?
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        var offset = range.lowerBound
        while offset < range.upperBound {
            let byte = span[byte: offset]
            offset += 1
            if let version, byte == .backslash, offset < range.upperBound,
                let plain = unescaped(span[byte: offset], version: version)
            {
                bytes.append(plain)
                offset += 1
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    /// The same as a String.
    static func decode(
        _ span: RawSpan,
        _ range: Range<Int>,
        escapes version: StompVersion?
    ) -> String {
        String(decoding: decodedBytes(span, range, escapes: version), as: UTF8.self)
    }

    /// Escapes text for a header of `version`; what it cannot express becomes a space.
    static func encode(_ text: String, version: StompVersion?) -> [UInt8] {
        var out: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case .lineFeed: out += version.isEscaping ? [.backslash, UInt8(ascii: "n")] : [.space]
            case .carriageReturn:
                out += version == .v12 ? [.backslash, UInt8(ascii: "r")] : [.space]
            case .colon: out += version.isEscaping ? [.backslash, UInt8(ascii: "c")] : [.colon]
            case .backslash: out += version.isEscaping ? [.backslash, .backslash] : [.backslash]
            case 0: out.append(.space)
            default: out.append(byte)
            }
        }
        return out
    }
}

extension StompVersion? {
    /// True for the versions that have escapes; nil stands for before CONNECT.
    fileprivate var isEscaping: Bool { self == .v11 || self == .v12 }
}

/// Whole numbers in decimal.
enum StompInteger {
    /// Digits only, at least one; nil for anything else and for what needs more than 63 bits.
    static func parse(_ span: RawSpan, _ range: Range<Int>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        var value: UInt64 = 0
        for offset in range {
            guard let digit = span[byte: offset].digit, value < UInt64(Int64.max) / 10 else {
                return nil
            }
            value = value * 10 + digit
        }
        return value
    }

    /// True for digits only, however many.
    static func isNumber(_ span: RawSpan, _ range: Range<Int>) -> Bool {
        !range.isEmpty && range.allSatisfy { span[byte: $0].digit != nil }
    }
}
