// Names of destinations: `/type/` and 1 to 255 characters of letters, digits and `. _ - : @ /`.
// The dots split the part after the type into parts, which patterns match one by one: `*` stands for
// one part, a last `>` for one or more.

/// What a destination is; its name begins with it.
enum DestinationKind: String, Sendable {
    case queue
    case fanout
    case topic
    case temporary = "temp-queue"

    /// `/queue/`, as names begin.
    var prefix: String { "/\(rawValue)/" }
}

/// A name that is well formed.
struct DestinationName {
    let text: String
    let kind: DestinationKind

    /// Longest name after the type; longer ones are nobody's intent and fill tables and log lines.
    static let lengthMax = 255

    private static let kinds: [DestinationKind] = [.queue, .fanout, .topic, .temporary]

    init(parsing text: String) throws(BrokerError) {
        guard let kind = Self.kinds.first(where: { text.hasPrefix($0.prefix) }) else {
            throw Self.unknownKind(text)
        }
        let rest = text.utf8.dropFirst(kind.prefix.utf8.count)
        guard (1...Self.lengthMax).contains(rest.count) else {
            throw BrokerError(
                .badDestination,
                "destination \(text.prefix(300)): a name has 1 to \(Self.lengthMax) characters after "
                    + kind.prefix
            )
        }
        if rest.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: ">") }) {
            throw BrokerError(
                .badDestination,
                "destination \(text): wildcards are for subscribing only"
            )
        }
        guard rest.allSatisfy(Self.isAllowed) else {
            throw BrokerError(
                .badDestination,
                "destination \(text): names consist of letters, digits and . _ - : @ /"
            )
        }
        self.text = text
        self.kind = kind
    }

    /// The dot-separated parts after the type.
    var parts: [Substring] { Self.parts(of: text, kind: kind) }

    static func parts(of text: String, kind: DestinationKind) -> [Substring] {
        text.dropFirst(kind.prefix.count).split(separator: ".", omittingEmptySubsequences: false)
    }

    static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "/"):
            true
        default: false
        }
    }

    private static func unknownKind(_ text: String) -> BrokerError {
        BrokerError(
            .badDestination,
            "destination \(text.prefix(300)): names begin with /queue/, /fanout/, /topic/ or "
                + "/temp-queue/"
        )
    }

    /// True for a name that only a pattern can have.
    static func isPattern(_ text: String) -> Bool {
        text.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: ">") }
    }
}

/// A pattern over names, as the configuration writes them; a name without `*` and `>` matches itself.
struct DestinationPattern: Sendable, Equatable {
    let text: String
    let kind: DestinationKind
    let parts: [String]
    /// The pattern ends in `>`, which is not in `parts`.
    let takesTail: Bool

    init(parsing text: String) throws(BrokerError) {
        let kinds: [DestinationKind] = [.queue, .fanout, .topic]
        guard let kind = kinds.first(where: { text.hasPrefix($0.prefix) }) else {
            throw BrokerError(
                .badDestination,
                "pattern \(text): begins with /queue/, /fanout/ or /topic/"
            )
        }
        var parts = DestinationName.parts(of: text, kind: kind).map(String.init)
        let takesTail = parts.last == ">"
        if takesTail { parts.removeLast() }
        for part in parts where part != "*" && (part.contains("*") || part.contains(">")) {
            throw BrokerError(
                .badDestination,
                "pattern \(text): * is a whole part, > is the whole last part"
            )
        }
        self.text = text
        self.kind = kind
        self.parts = parts
        self.takesTail = takesTail
    }

    /// A pattern as a client writes it, over queues or topics.
    init(checking text: String) throws(BrokerError) {
        try self.init(parsing: text)
        let rest = text.utf8.dropFirst(kind.prefix.utf8.count)
        let isWild = { (byte: UInt8) in byte == UInt8(ascii: "*") || byte == UInt8(ascii: ">") }
        guard kind != .fanout, (1...DestinationName.lengthMax).contains(rest.count),
            rest.allSatisfy({ isWild($0) || DestinationName.isAllowed($0) })
        else {
            throw BrokerError(
                .badDestination,
                "destination \(text.prefix(300)): a pattern stands for queues or topics; its parts "
                    + "consist of letters, digits and _ - : @ /, or are * or a last >"
            )
        }
    }

    func matches(_ name: DestinationName) -> Bool { matches(name.text) }

    /// Whether a well-formed name is covered.
    func matches(_ name: String) -> Bool {
        guard name.hasPrefix(kind.prefix) else { return false }
        let nameParts = DestinationName.parts(of: name, kind: kind)
        guard takesTail ? nameParts.count > parts.count : nameParts.count == parts.count else {
            return false
        }
        return zip(parts, nameParts).allSatisfy { $0 == "*" || $0 == $1 }
    }
}
