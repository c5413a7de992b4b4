import FoundationEssentials
import Testing

/// A text of the repository, seen as lines; no parser, for the sources are formatted by one tool.
struct SourceFile: CustomTestStringConvertible {
    /// Relative to the root: `Sources/Base/Time.swift`.
    let path: String
    let lines: [String]

    var testDescription: String { path }

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// A line without its comment and with empty strings.
    static func code(_ line: String) -> String {
        var code = ""
        var inString = false
        var isEscaped = false
        for character in line {
            if inString {
                if character == "\"", !isEscaped {
                    inString = false
                    code.append(character)
                }
                isEscaped = character == "\\" && !isEscaped
            } else {
                if character == "/", code.last == "/" { return String(code.dropLast()) }
                inString = character == "\""
                code.append(character)
            }
        }
        return code
    }

    /// The modules that the file imports.
    var imports: [String] {
        lines.compactMap { line in
            var words = Self.code(line).split(separator: " ")
            while let first = words.first, first != "import" {
                let isModifier =
                    first.hasPrefix("@") || ["package", "public", "internal"].contains(first)
                guard isModifier else { return nil }
                words.removeFirst()
            }
            return words.dropFirst().last.flatMap { $0.split(separator: ".").first }.map(
                String.init
            )
        }
    }

    /// `12: the line` for each line whose code holds one of `words` as a whole word.
    func lines(with words: [String]) -> [String] {
        lines.enumerated().compactMap { index, line in
            let code = Self.code(line)
            return words.contains { Self.holds(code, $0) } ? "\(index + 1): \(line)" : nil
        }
    }

    private static func holds(_ code: String, _ word: String) -> Bool {
        var rest = code[...]
        while let found = rest.firstRange(of: word) {
            let before = code[..<found.lowerBound].last
            if before.map({ !$0.isLetter && !$0.isNumber && $0 != "_" }) ?? true { return true }
            rest = rest[found.upperBound...]
        }
        return false
    }

    /// First line and length in lines of each function and initializer that has a body.
    ///
    /// The formatter puts a body's closing brace under the first letter of its declaration.
    var functions: [(line: Int, length: Int)] {
        lines.indices.compactMap { start in
            let words = Self.code(lines[start]).split { !$0.isLetter && !$0.isNumber && $0 != "_" }
            guard words.contains("func") || words.contains("init") || words.contains("deinit"),
                let open = bodyStart(of: start)
            else { return nil }
            let close = Self.indentation(lines[start]) + "}"
            let end = lines[open...].firstIndex { $0.hasPrefix(close) }
            return end.map { (start + 1, $0 - start + 1) }
        }
    }

    /// The line that opens the body of the declaration on line `start`, if it is one with a body.
    private func bodyStart(of start: Int) -> Int? {
        let indentation = Self.indentation(lines[start])
        for index in start..<lines.count {
            let code = Self.code(lines[index])
            let isDeeper = Self.indentation(lines[index]).count > indentation.count
            let goesOn = index == start || isDeeper || code.hasPrefix(indentation + ")")
            guard goesOn else { return nil }
            if code.last(where: { $0 != " " }) == "{" { return index }
        }
        return nil
    }

    private static func indentation(_ line: String) -> String {
        String(line.prefix { $0 == " " })
    }

    /// The targets of Markdown links to files, without their anchors.
    var localLinks: [String] {
        lines.flatMap { line in
            line.split(separator: "](").dropFirst().compactMap { rest in
                let target = rest.prefix { $0 != ")" && $0 != " " && $0 != "#" }
                return target.isEmpty || target.contains("://") || target.hasPrefix("mailto:")
                    ? nil : String(target)
            }
        }
    }
}

/// The repository that this test was built from.
enum Repository {
    static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        .dropLast(3).joined(separator: "/")

    /// All files below `folders` with one of the endings, in order.
    static func files(in folders: [String], endings: [String]) throws -> [SourceFile] {
        try folders.flatMap { folder in
            try FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(folder)").sorted()
                .filter { name in endings.contains { name.hasSuffix($0) } }
                .map { try file("\(folder)/\($0)") }
        }
    }

    static func file(_ path: String) throws -> SourceFile {
        let bytes = try Data(contentsOf: URL(filePath: "\(root)/\(path)"))
        return SourceFile(path: path, text: String(decoding: bytes, as: UTF8.self))
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(root)/\(path)")
    }

    /// The product: what is shipped, without tests.
    static func product() throws -> [SourceFile] {
        try files(in: ["Sources", "tools", "Benchmarks"], endings: [".swift"])
    }
}
