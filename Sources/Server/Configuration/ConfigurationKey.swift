import Base

/// One key of a section: how its value gets into the field of the same name.
struct ConfigurationKey<Target> {
    /// What is done with a value.
    enum Reading {
        /// Stores the value, or returns what was expected instead.
        case value((ConfigurationValue, inout Target) -> String?)
        /// The same for a list, which the environment cannot override.
        case list((ConfigurationValue, inout Target) -> String?)
        /// A table within the section, which the environment cannot override: what is wrong with it,
        /// each at a key of it or, with "", at the table.
        case table((ConfigurationValue, inout Target) -> [(key: String, text: String)])
    }

    let name: String
    let reading: Reading
    /// The value as a file has it; nil where nothing is set.
    let written: (Target) -> String?
    /// Whether the empty text is a value of its own.
    var showsEmpty = false

    /// A value that `parse` understands; `expected` says in words what that is.
    static func value<Field: ConfigurationWritten>(
        _ name: String,
        _ field: WritableKeyPath<Target, Field>,
        expected: String,
        parse: @escaping (ConfigurationValue) -> Field?
    ) -> Self {
        Self(
            name: name,
            reading: .value { value, target in
                guard let parsed = parse(value) else { return expected }
                target[keyPath: field] = parsed
                return nil
            },
            written: { $0[keyPath: field].written }
        )
    }

    /// Any text but the empty one.
    static func text(
        _ name: String,
        _ field: WritableKeyPath<Target, String>,
        expected: String
    ) -> Self {
        value(name, field, expected: expected) { $0.text.flatMap { $0.isEmpty ? nil : $0 } }
    }

    /// A whole number.
    static func count(
        _ name: String,
        _ field: WritableKeyPath<Target, Int>,
        _ range: ClosedRange<Int>
    ) -> Self {
        value(name, field, expected: countExpected(range)) { countParsed($0, range) }
    }

    /// A whole number that may stay unset.
    static func count(
        _ name: String,
        _ field: WritableKeyPath<Target, Int?>,
        _ range: ClosedRange<Int>
    ) -> Self {
        value(name, field, expected: countExpected(range)) { value in
            countParsed(value, range).map(Optional.some)
        }
    }

    private static func countExpected(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max
            ? "expected a whole number from \(range.lowerBound) up"
            : "expected a whole number from \(range.lowerBound) to \(range.upperBound)"
    }

    private static func countParsed(_ value: ConfigurationValue, _ range: ClosedRange<Int>) -> Int?
    {
        value.wholeNumber.flatMap { range.contains($0) ? $0 : nil }
    }

    /// A size with its unit.
    static func size(
        _ name: String,
        _ field: WritableKeyPath<Target, ByteCount>,
        _ range: ClosedRange<Int>
    ) -> Self {
        let (low, high) = (writtenSize(range.lowerBound), writtenSize(range.upperBound))
        let limits = range.upperBound == .max ? "" : " from \(low) to \(high)"
        let expected = "expected a size\(limits), in quotes, such as \"64MiB\""
        return value(name, field, expected: expected) { value in
            value.text.flatMap(ByteCount.init(parsing:)).flatMap {
                range.contains($0.bytes) ? $0 : nil
            }
        }
    }

    private static func writtenSize(_ bytes: Int) -> String {
        String(ByteCount(bytes).description.filter { $0 != " " })
    }

    /// A duration with its unit; `zero` says what 0s means where it is allowed beside the range.
    static func duration(
        _ name: String,
        _ field: WritableKeyPath<Target, Interval>,
        _ range: ClosedRange<Interval>,
        zero: String? = nil
    ) -> Self {
        let also = zero.map { "; \"0s\" = \($0)" } ?? ""
        let expected =
            "expected a duration from \(range.lowerBound) to \(range.upperBound), in quotes, "
            + "such as \"\(Interval.seconds(10))\"\(also)"
        return value(name, field, expected: expected) { value in
            guard let duration = value.text.flatMap(Interval.init(parsing:)) else { return nil }
            let isAllowed = range.contains(duration) || (zero != nil && duration == .zero)
            return isAllowed ? duration : nil
        }
    }

    /// One duration, or several; `"0s"` and the empty list are none.
    static func durations(
        _ name: String,
        _ field: WritableKeyPath<Target, [Interval]>,
        _ range: ClosedRange<Interval>
    ) -> Self {
        let expected =
            "expected a duration from \(range.lowerBound) to \(range.upperBound), in quotes, or a "
            + "list of at most \(durationsMax), such as [\"1s\", \"1m\"]; \"0s\" = none"
        return value(name, field, expected: expected) { value in
            var texts: [String] = []
            if case .list(let elements) = value {
                texts = elements.compactMap(\.text)
                guard texts.count == elements.count, texts.count <= durationsMax else { return nil }
            } else {
                guard let text = value.text else { return nil }
                if text == "0s" { return [] }
                texts = [text]
            }
            let parsed = texts.compactMap(Interval.init(parsing:))
            guard parsed.count == texts.count, parsed.allSatisfy(range.contains) else { return nil }
            return parsed
        }
    }

    private static var durationsMax: Int { 32 }

    /// `true` or `false`.
    static func flag(_ name: String, _ field: WritableKeyPath<Target, Bool>) -> Self {
        value(name, field, expected: "expected true or false", parse: \.flag)
    }

    /// One word of a few.
    static func choice<Word: CaseIterable & RawRepresentable>(
        _ name: String,
        _ field: WritableKeyPath<Target, Word>
    ) -> Self where Word.RawValue == String {
        let words = Word.allCases.map(\.rawValue)
        let expected = "expected \(list(of: words))"
        return Self(
            name: name,
            reading: .value { value, target in
                guard let word = value.text.flatMap(Word.init(rawValue:)) else {
                    return expected
                        + (value.text.map { Suggestion.hint(for: $0, among: words) } ?? "")
                }
                target[keyPath: field] = word
                return nil
            },
            written: { $0[keyPath: field].rawValue.written }
        )
    }

    /// `"a"`, `"a" or "b"`, `"a", "b" or "c"`.
    private static func list(of words: [String]) -> String {
        let quoted = words.map { "\"\($0)\"" }
        guard quoted.count > 1 else { return quoted.joined() }
        return quoted.dropLast().joined(separator: ", ") + " or " + (quoted.last ?? "")
    }

    /// A table of its own keys, or none; `problem` says what is missing in one whose keys are right.
    static func table<Inner>(
        _ name: String,
        _ field: WritableKeyPath<Target, Inner?>,
        _ keys: [ConfigurationKey<Inner>],
        start: Inner,
        problem: @escaping (Inner) -> String?
    ) -> Self {
        Self(
            name: name,
            reading: .table { value, target in
                guard case .table(let table) = value else {
                    let form = keys.map { "\($0.name) = ..." }.joined(separator: ", ")
                    return [("", "expected a table, such as { \(form) }")]
                }
                var inner = start
                var problems = table.sorted { $0.key < $1.key }.compactMap { entry in
                    innerProblem(entry, of: name, keys, into: &inner)
                }
                if problems.isEmpty, let missing = problem(inner) {
                    problems.append(("", missing))
                }
                target[keyPath: field] = inner
                return problems
            },
            written: { target in
                guard let inner = target[keyPath: field] else { return nil }
                let entries = keys.compactMap { key in
                    key.written(inner).map { "\(key.name) = \($0)" }
                }
                return "{ " + entries.joined(separator: ", ") + " }"
            }
        )
    }

    /// What is wrong with one entry of an inner table, which is read into `inner`.
    private static func innerProblem<Inner>(
        _ entry: (key: String, value: ConfigurationValue),
        of table: String,
        _ keys: [ConfigurationKey<Inner>],
        into inner: inout Inner
    ) -> (key: String, text: String)? {
        guard let key = keys.first(where: { $0.name == entry.key }) else {
            let hint = Suggestion.hint(for: entry.key, among: keys.map(\.name))
            return (entry.key, "unknown key \"\(entry.key)\" in \(table)\(hint)")
        }
        guard case .value(let read) = key.reading,
            let expected = read(entry.value, &inner)
        else { return nil }
        return (entry.key, "\(entry.key) = \(entry.value.written): \(expected)")
    }

    /// A list of texts.
    static func texts(
        _ name: String,
        _ field: WritableKeyPath<Target, [String]>,
        expected: String,
        allows: @escaping (String) -> Bool = { _ in true }
    ) -> Self {
        Self(
            name: name,
            reading: .list { value, target in
                guard case .list(let elements) = value else { return expected }
                var texts: [String] = []
                for element in elements {
                    guard case .string(let text) = element, allows(text) else { return expected }
                    texts.append(text)
                }
                target[keyPath: field] = texts
                return nil
            },
            written: { $0[keyPath: field].written }
        )
    }
}
