import LogStore

/// `docs/format.md` as the tests read it.
struct FormatDocument {
    private let lines: [Substring]

    init() throws {
        let text = try Self.read(Self.root + "/docs/format.md")
        lines = String(decoding: text, as: UTF8.self).split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
    }

    /// The package's directory.
    static var root: String {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(3)
        return "/" + parts.joined(separator: "/")
    }

    static func read(_ path: String) throws -> [UInt8] {
        let files = PosixFileSystem()
        let file = try files.open(path, .read)
        defer { files.close(file) }
        var bytes = [UInt8](repeating: 0, count: try files.size(file))
        try bytes.withUnsafeMutableBytes { buffer in
            var span = OutputRawSpan(buffer: buffer, initializedCount: 0)
            try files.read(file, at: 0, into: &span)
            _ = span.finalize(for: buffer)
        }
        return bytes
    }

    /// The rows below the head of the table that is marked `<!-- table: NAME -->`.
    func table(_ name: String) -> [[String]] {
        guard let mark = lines.firstIndex(of: "<!-- table: \(name) -->") else { return [] }
        return lines[(mark + 1)...].prefix { $0.hasPrefix("|") }.dropFirst(2).map { line in
            line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
                .map { String($0).trimmed }
        }
    }

    /// The lines `offset | bytes | meaning` of the dump that is marked `<!-- dump: NAME -->`.
    func dump(_ name: String) -> [(offset: Int, bytes: [UInt8], meaning: String)] {
        guard let mark = lines.firstIndex(of: "<!-- dump: \(name) -->") else { return [] }
        return lines[(mark + 2)...].prefix { $0 != "```" }.compactMap { line in
            let parts = line.split(separator: "|", maxSplits: 2).map { String($0).trimmed }
            guard parts.count == 3, let offset = Int(parts[0], radix: 16) else { return nil }
            let digits = Array(parts[1].filter { $0 != " " })
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)
            }
            return (offset, bytes, parts[2])
        }
    }
}

extension String {
    var trimmed: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
