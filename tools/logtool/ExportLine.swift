import Base
import LogStore

/// The lines of `export`, which `import` reads back: of each queue one, then of each message one, then
/// one that ends them.
enum ExportLine {
    static func writeEnd(messages: Int, into line: inout JSONLine) {
        line.clear()
        line.openObject()
        line.field("kind", "end")
        line.field("messages", messages)
        line.closeObject()
        line.endLine()
    }

    static func write(_ queue: StoredQueue, into line: inout JSONLine) {
        line.clear()
        line.openObject()
        line.field("kind", "queue")
        line.field("queue", queue.name)
        line.field("messages", queue.messages)
        line.field("first_sequence", queue.first.value)
        line.field("next_sequence", queue.next.value)
        line.closeObject()
        line.endLine()
    }

    static func write(
        _ message: StoredMessage,
        _ entries: [StoredEntry],
        headers: RawSpan,
        body: RawSpan,
        into line: inout JSONLine
    ) {
        line.clear()
        line.openObject()
        line.field("kind", "message")
        line.field("time_ms", message.time.milliseconds)
        line.write(expires: message.expires)
        line.openArray("entries")
        for entry in entries {
            line.openObject()
            line.field("queue", entry.name)
            line.field("sequence", entry.sequence.value)
            line.write(entry.requeue ?? Requeue(deliveryCount: 0))
            line.closeObject()
        }
        line.closeArray()
        write(headers: headers.array(0..<headers.byteCount), into: &line)
        line.body(body.array(0..<body.byteCount), .auto)
        line.closeObject()
        line.endLine()
    }

    /// Pairs, for a name may come twice; the block as it is where pairs would not give it back.
    private static func write(headers block: [UInt8], into line: inout JSONLine) {
        let pairs = HeaderBlock.pairs(block)
        guard UTF8Text.isValid(block), HeaderBlock.block(pairs) == block else {
            line.field("headers_base64", base64: block)
            return
        }
        line.openArray("headers")
        for pair in pairs {
            line.openArray()
            line.element(text: pair.name)
            line.element(text: pair.value)
            line.closeArray()
        }
        line.closeArray()
    }

    // MARK: Reading

    /// What a line says.
    enum Content {
        case queue(name: String, first: EntrySequence)
        case message(Message)
        /// So many messages came before.
        case end(messages: UInt64)
    }

    struct Message {
        let time: WallTime
        /// In ms since 1970; 0 = never.
        let expires: UInt64
        let entries: [(queue: String, sequence: EntrySequence, requeue: Requeue?)]
        let headers: [UInt8]
        let body: [UInt8]
    }

    /// Reads a line; fails with a reason that names the field.
    static func read(_ bytes: [UInt8]) throws -> Content {
        let value: JSONValue
        do { value = try JSONReader.read(bytes) } catch {
            throw ToolFailure("no JSON: at byte \(error.offset + 1): \(error.reason)")
        }
        guard case .object = value else { throw ToolFailure("it is no JSON object") }
        switch value["kind"]?.string.map({ String(decoding: $0, as: UTF8.self) }) {
        case "queue":
            let first = try number(value, "first_sequence", 1...(.max - 1))
            return .queue(name: try queueName(value), first: EntrySequence(first))
        case "message":
            return .message(
                Message(
                    time: WallTime(milliseconds: try number(value, "time_ms", 0...(.max))),
                    expires: try optional(value, "expires_ms", 0...(.max)),
                    entries: try entries(value),
                    headers: try headers(value),
                    body: try body(value)
                )
            )
        case "end":
            return .end(messages: try number(value, "messages", 0...(.max)))
        case let other?:
            throw ToolFailure("\"kind\" is \"\(other)\", not \"queue\", \"message\" or \"end\"")
        case nil: throw ToolFailure("\"kind\" is missing: it was not written by export")
        }
    }

    private static func number(
        _ value: JSONValue,
        _ name: StaticString,
        _ range: ClosedRange<UInt64>
    ) throws -> UInt64 {
        guard let number = value[name]?.number, range.contains(number) else {
            throw ToolFailure("\"\(name)\" must be a whole number from \(range.lowerBound) on")
        }
        return number
    }

    private static func queueName(_ value: JSONValue) throws -> String {
        // The daemon opens no store with other names (docs/protocol-stomp.md).
        let prefix = "/queue/".utf8
        guard let name = value["queue"]?.string, name.starts(with: prefix),
            (1...255).contains(name.count - prefix.count),
            name.dropFirst(prefix.count).allSatisfy(isAllowed)
        else {
            throw ToolFailure(
                "\"queue\" must be /queue/ and 1 to 255 letters, digits or . _ - : @ /"
            )
        }
        return String(decoding: name, as: UTF8.self)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "._-:@/".utf8.contains(byte)
        }
    }

    private static func entries(
        _ value: JSONValue
    ) throws -> [(queue: String, sequence: EntrySequence, requeue: Requeue?)] {
        guard let items = value["entries"]?.array,
            (1...MessageRecord.entriesMax).contains(items.count)
        else {
            throw ToolFailure("\"entries\" must be a list of 1 to \(MessageRecord.entriesMax)")
        }
        var names: Set<String> = []
        return try items.map { item in
            let name = try queueName(item)
            guard names.insert(name).inserted else {
                throw ToolFailure("\"entries\" names \(name) twice")
            }
            let sequence = try number(item, "sequence", 1...(.max - 1))
            let requeue = Requeue(
                deliveryCount: UInt32(
                    try optional(item, "delivery_count", 0...UInt64(Int32.max))
                ),
                isRejected: item["rejected"]?.flag == true,
                due: try optional(item, "due_ms", 0...UInt64(UInt32.max) * 1000)
            )
            let isNew = requeue == Requeue(deliveryCount: 0)
            return (name, EntrySequence(sequence), isNew ? nil : requeue)
        }
    }

    /// A number that is 0 where it is left out.
    private static func optional(
        _ value: JSONValue,
        _ name: StaticString,
        _ range: ClosedRange<UInt64>
    ) throws -> UInt64 {
        value[name] == nil ? 0 : try number(value, name, range)
    }

    private static func headers(_ value: JSONValue) throws -> [UInt8] {
        if let text = value["headers_base64"] {
            return try base64(text, "headers_base64")
        }
        guard let items = value["headers"]?.array else {
            throw ToolFailure("\"headers\" must be a list of pairs")
        }
        let pairs: [HeaderBlock.Pair] = try items.map { item in
            guard let pair = item.array, pair.count == 2, let name = pair[0].string,
                let text = pair[1].string
            else { throw ToolFailure("\"headers\" must be a list of pairs of strings") }
            return (name, text)
        }
        return HeaderBlock.block(pairs)
    }

    private static func body(_ value: JSONValue) throws -> [UInt8] {
        if let text = value["body_base64"] { return try base64(text, "body_base64") }
        guard let body = value["body"]?.string else {
            throw ToolFailure("\"body\" or \"body_base64\" must be there, as a string")
        }
        return body
    }

    private static func base64(_ value: JSONValue, _ name: String) throws -> [UInt8] {
        guard let text = value.string, let bytes = Base64.decode(text) else {
            throw ToolFailure("\"\(name)\" is no base 64")
        }
        return bytes
    }
}

extension JSONLine {
    /// When a message expires; nothing if it never does.
    mutating func write(expires: UInt64) {
        if expires > 0 { field("expires_ms", expires) }
    }

    /// How an entry came back.
    mutating func write(_ requeue: Requeue) {
        field("delivery_count", requeue.deliveryCount)
        if requeue.isRejected { field("rejected", true) }
        if requeue.dueSeconds > 0 { field("due_ms", requeue.dueMilliseconds) }
    }
}
