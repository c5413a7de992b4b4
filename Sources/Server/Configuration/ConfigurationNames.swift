// The form of destination names and patterns, checked here so that a start reports every bad one at
// once and with its line. The broker checks what clients send by the same rules.

/// Checks the names and patterns of the configuration.
enum ConfigurationNames {
    private static let lengthMax = 255

    /// What is wrong with `name` as a destination of `kind` ("queue"), or nil.
    static func problem(name: String, kind: String) -> String? {
        guard !name.contains(where: { $0 == "*" || $0 == ">" }) else {
            return "a name has no * or >; patterns are written match = \"...\""
        }
        return problem(text: name, kind: kind)
    }

    /// What is wrong with `pattern` over destinations of `kind`, or nil.
    static func problem(pattern: String, kind: String) -> String? {
        let parts = parts(of: pattern)
        for (index, part) in parts.enumerated() {
            let isWildcard = part == "*" || (part == ">" && index == parts.count - 1)
            if !isWildcard, part.contains("*") || part.contains(">") {
                return "* stands for one whole part between dots, > for the whole last part"
            }
        }
        return problem(text: String(pattern.filter { $0 != "*" && $0 != ">" }) + "a", kind: kind)
    }

    private static func problem(text: String, kind: String) -> String? {
        let prefix = "/\(kind)/"
        guard text.hasPrefix(prefix) else { return "must begin with \(prefix)" }
        let rest = text.utf8.dropFirst(prefix.utf8.count)
        guard (1...lengthMax).contains(rest.count) else {
            return "must have 1 to \(lengthMax) characters after \(prefix)"
        }
        guard rest.allSatisfy(isAllowed) else {
            return "may hold letters a to z, digits and . _ - : @ / only"
        }
        return nil
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        let character = Character(Unicode.Scalar(byte))
        return character.isASCII
            && (character.isLetter || character.isNumber || "._-:@/".contains(character))
    }

    /// Whether `pattern` covers `name`: `*` one part, a last `>` one or more parts.
    static func matches(_ pattern: String, _ name: String) -> Bool {
        var patternParts = parts(of: pattern)
        let nameParts = parts(of: name)
        let takesTail = patternParts.last == ">"
        if takesTail { patternParts.removeLast() }
        guard
            takesTail
                ? nameParts.count > patternParts.count : nameParts.count == patternParts.count
        else { return false }
        return zip(patternParts, nameParts).allSatisfy { $0 == "*" || $0 == $1 }
    }

    /// `/queue/`, `a`, `b` for `/queue/a.b`.
    private static func parts(of text: String) -> [Substring] {
        guard let slash = text.dropFirst().firstIndex(of: "/") else { return [text[...]] }
        let rest = text[text.index(after: slash)...]
        return [text[...slash]] + rest.split(separator: ".", omittingEmptySubsequences: false)
    }
}
