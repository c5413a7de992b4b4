import ArgumentParser
import Base
import LogStore

/// Which messages a verb takes.
struct FilterArguments: ParsableArguments {
    @Option(
        name: .customLong("queue"),
        help: ArgumentHelp(
            "Only queues of this name; * stands for any characters. May be repeated.",
            valueName: "name"
        )
    )
    var queues: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            Only messages taken at that time or later: RFC 3339 (2026-07-09T15:04:05Z), or \
            milliseconds since 1970.
            """,
            valueName: "time"
        ),
        transform: TimeArgument.init
    )
    var from: TimeArgument?

    @Option(
        help: ArgumentHelp("Only messages taken at that time or earlier.", valueName: "time"),
        transform: TimeArgument.init
    )
    var until: TimeArgument?

    @Option(
        help: ArgumentHelp(
            "Only entries with these sequences in their queue: A-B, A-, or A.",
            valueName: "a-b"
        )
    )
    var sequence: SequenceArgument?

    @Option(
        name: .customLong("header"),
        help: ArgumentHelp(
            "Only messages with this header. May be repeated: all must be there.",
            valueName: "name=value"
        )
    )
    var headers: [HeaderArgument] = []
}

/// `A-B`, `A-` or `A`.
struct SequenceArgument: ExpressibleByArgument {
    let range: ClosedRange<UInt64>

    init?(argument: String) {
        let parts = argument.split(
            separator: "-",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        let ends = parts.map { UInt64($0) }
        guard let first = ends[0], parts.count == 1 || parts[1].isEmpty || ends[1] != nil else {
            return nil
        }
        let last = parts.count == 1 ? first : ends[1] ?? .max
        guard first <= last else { return nil }
        range = first...last
    }
}

/// `NAME=VALUE`.
struct HeaderArgument: ExpressibleByArgument {
    let name: [UInt8]
    let value: [UInt8]

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else {
            return nil
        }
        name = Array(argument[..<equals].utf8)
        value = Array(argument[argument.index(after: equals)...].utf8)
    }
}

/// Decides by the command line's filters.
///
/// Confinement: one verb.
final class MessageFilter {
    private let from: UInt64
    private let until: UInt64
    private let sequences: ClosedRange<UInt64>?
    private let headers: [HeaderArgument]
    private let patterns: [[UInt8]]
    /// What the patterns say of the names met so far.
    private var known: [String: Bool] = [:]

    init(_ arguments: FilterArguments) {
        from = arguments.from?.milliseconds ?? 0
        until = arguments.until?.milliseconds ?? .max
        sequences = arguments.sequence?.range
        headers = arguments.headers
        patterns = arguments.queues.map { Array($0.utf8) }
    }

    /// Decides by the queues' names alone.
    init(queues: [String]) {
        from = 0
        until = .max
        sequences = nil
        headers = []
        patterns = queues.map { Array($0.utf8) }
    }

    var isOpen: Bool { patterns.isEmpty }

    /// A name that fits nothing is mostly a slip, and no output looks like an answer.
    func noteIfNoneMatches(_ queues: [StoredQueue]) {
        if isOpen || queues.contains(where: { takes(queue: $0.name) }) { return }
        let asked = patterns.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ")
        let names = queues.prefix(10).map(\.name).joined(separator: ", ")
        let more = queues.count > 10 ? " and \(queues.count - 10) more" : ""
        Terminal.complain(
            "radiator-log: note: there is no queue \(asked); the store has "
                + (queues.isEmpty ? "none" : names + more)
        )
    }

    func takes(queue name: String) -> Bool {
        if patterns.isEmpty { return true }
        if let answer = known[name] { return answer }
        let utf8 = Array(name.utf8)
        let answer = patterns.contains { Self.matches($0[...], utf8[...]) }
        known[name] = answer
        return answer
    }

    func takes(time: UInt64) -> Bool { from <= time && time <= until }

    func takes(sequence: UInt64) -> Bool { sequences?.contains(sequence) ?? true }

    var asksForSequences: Bool { sequences != nil }
    var asksForHeaders: Bool { !headers.isEmpty }

    func takes(headers block: RawSpan) -> Bool {
        guard asksForHeaders else { return true }
        let pairs = HeaderBlock.pairs(block.array(0..<block.byteCount))
        return self.headers.allSatisfy { wanted in
            pairs.contains { $0.name == wanted.name && $0.value == wanted.value }
        }
    }

    func takes(_ entry: StoredEntry) -> Bool {
        takes(sequence: entry.sequence.value) && takes(queue: entry.name)
    }

    /// The entries of a message that pass, if its time and headers do.
    func entries(_ message: StoredMessage, _ headers: RawSpan) -> [StoredEntry] {
        guard takes(time: message.time.milliseconds) else { return [] }
        let entries = message.entries.filter(takes)
        return entries.isEmpty || takes(headers: headers) ? entries : []
    }

    /// Whether a pattern with `*` fits a whole name; linear but for a small factor.
    private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        let star = UInt8(ascii: "*")
        var (at, position) = (pattern.startIndex, name.startIndex)
        var retry: (pattern: Int, name: Int)?
        while position < name.endIndex {
            if at < pattern.endIndex, pattern[at] == star {
                retry = (at + 1, position)
                at += 1
            } else if at < pattern.endIndex, pattern[at] == name[position] {
                at += 1
                position += 1
            } else if let last = retry {
                retry = (last.pattern, last.name + 1)
                at = last.pattern
                position = last.name + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == star }
    }
}
