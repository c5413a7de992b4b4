// The TOML library gives the positions of syntax errors, but not those of values. This finds the
// lines of tables and keys in a text that the library has already accepted, so it need not judge:
// it only has to step over strings, arrays and inline tables that span lines.

/// The line on which each table and key of a TOML text begins.
///
/// Paths are written `storage.fsync` and, for the first `[[queue]]`, `queue[0].name`.
struct ConfigurationLines {
    private var lines: [String: Int] = [:]
    private var counts: [String: Int] = [:]

    init(_ text: String) {
        var table = ""
        var value = OpenValue()
        let texts = text.utf8.split(
            separator: UInt8(ascii: "\n"),
            omittingEmptySubsequences: false
        )
        for (index, bytes) in texts.enumerated() {
            let line = Array(bytes)
            if value.isOpen {
                value.scan(line[...])
                continue
            }
            let start = line.firstIndex { !Self.isSpace($0) } ?? line.endIndex
            guard start < line.endIndex, line[start] != UInt8(ascii: "#") else { continue }
            if line[start] == UInt8(ascii: "[") {
                table = header(line[start...], at: index + 1)
                continue
            }
            let (key, end) = Self.key(line[start...], until: UInt8(ascii: "="))
            note(table.isEmpty ? key : "\(table).\(key)", at: index + 1)
            if end < line.endIndex { value.scan(line[(end + 1)...]) }
        }
    }

    /// The line of `path`, or of the nearest table around it; 1 when none is known.
    func line(of path: String) -> Int {
        var path = path[...]
        while !path.isEmpty {
            if let line = lines[String(path)] { return line }
            guard let cut = path.lastIndex(where: { $0 == "." || $0 == "[" }) else { break }
            path = path[..<cut]
        }
        return 1
    }

    private mutating func header(_ line: ArraySlice<UInt8>, at number: Int) -> String {
        let isList = line.dropFirst().first == UInt8(ascii: "[")
        let (name, _) = Self.key(line.dropFirst(isList ? 2 : 1), until: UInt8(ascii: "]"))
        guard isList else {
            let path = inList(name)
            note(path, at: number)
            return path
        }
        let index = counts[name, default: 0]
        counts[name] = index + 1
        note(name, at: number)
        note("\(name)[\(index)]", at: number)
        return "\(name)[\(index)]"
    }

    /// A table within the last element of a list: `listen[0].tls` for `[listen.tls]`.
    private func inList(_ name: String) -> String {
        guard let dot = name.firstIndex(of: "."), let count = counts[String(name[..<dot])] else {
            return name
        }
        return "\(name[..<dot])[\(count - 1)]\(name[dot...])"
    }

    private mutating func note(_ path: String, at number: Int) {
        if lines[path] == nil { lines[path] = number }
    }

    /// A key without its quotes and the blanks around its dots, and where it ended.
    private static func key(
        _ line: ArraySlice<UInt8>,
        until stop: UInt8
    ) -> (key: String, end: Int) {
        var key: [UInt8] = []
        var quote: UInt8?
        var index = line.startIndex
        while index < line.endIndex {
            let byte = line[index]
            if let open = quote {
                if byte == open { quote = nil } else { key.append(byte) }
            } else if byte == stop {
                break
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if !isSpace(byte) {
                key.append(byte)
            }
            index += 1
        }
        return (String(decoding: key, as: UTF8.self), index)
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }
}

/// A value that may go on over several lines.
private struct OpenValue {
    private var depth = 0
    private var longQuote: UInt8?

    var isOpen: Bool { depth > 0 || longQuote != nil }

    /// Takes in the next line of the value, or what stands behind its `=`.
    mutating func scan(_ line: ArraySlice<UInt8>) {
        var rest = line
        while let byte = rest.first {
            if let quote = longQuote {
                rest = skipLongString(rest, quote)
                continue
            }
            rest = rest.dropFirst()
            switch byte {
            case UInt8(ascii: "#"): return
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                if rest.starts(with: [byte, byte]) {
                    longQuote = byte
                    rest = rest.dropFirst(2)
                } else {
                    rest = Self.skipString(rest, byte)
                }
            default: break
            }
        }
    }

    private mutating func skipLongString(
        _ line: ArraySlice<UInt8>,
        _ quote: UInt8
    ) -> ArraySlice<UInt8> {
        var rest = line
        while let byte = rest.first {
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                rest = rest.dropFirst(2)
            } else if rest.starts(with: [quote, quote, quote]) {
                longQuote = nil
                // Up to two quotes may stand right before the three that close.
                return rest.drop { $0 == quote }
            } else {
                rest = rest.dropFirst()
            }
        }
        return rest
    }

    private static func skipString(_ line: ArraySlice<UInt8>, _ quote: UInt8) -> ArraySlice<UInt8> {
        var rest = line
        while let byte = rest.first {
            if byte == quote { return rest.dropFirst() }
            rest = rest.dropFirst(byte == UInt8(ascii: "\\") && quote == UInt8(ascii: "\"") ? 2 : 1)
        }
        return rest
    }
}
