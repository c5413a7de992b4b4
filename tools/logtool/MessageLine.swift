import ArgumentParser
import Base
import LogStore

/// How bodies are printed.
enum BodyForm: String, ExpressibleByArgument, CaseIterable {
    case auto, text, base64, none
}

/// Prints messages as lines of JSON, one for each entry.
///
/// Confinement: one verb.
struct MessageLine {
    let body: BodyForm
    private var line = JSONLine()
    /// What the lines of a message's entries have in common.
    private var shared = JSONLine()

    init(body: BodyForm) {
        self.body = body
    }

    /// Gives each entry's line to `take` until that returns false.
    mutating func print(
        _ entries: [StoredEntry],
        of message: StoredMessage,
        headers: RawSpan,
        body: RawSpan,
        _ take: (JSONLine) -> Bool
    ) -> Bool {
        shared.clear()
        writeShared(message, headers: headers, body: body)
        for entry in entries {
            line.clear()
            line.openObject()
            line.field("queue", entry.name)
            line.field("sequence", entry.sequence.value)
            line.field("settled", entry.isSettled)
            line.write(entry.requeue ?? Requeue(deliveryCount: 0))
            line.append(shared)
            line.closeObject()
            line.endLine()
            if !take(line) { return false }
        }
        return true
    }

    private mutating func writeShared(
        _ message: StoredMessage,
        headers: RawSpan,
        body: RawSpan
    ) {
        shared.continueObject()
        shared.field("time", CivilTime.stamp(message.time.milliseconds))
        shared.field("time_ms", message.time.milliseconds)
        shared.write(expires: message.expires)
        shared.field("file", FileNames.segment(message.position.segment))
        shared.field("offset", message.position.offset)
        shared.headers(headers.array(0..<headers.byteCount))
        shared.field("body_bytes", body.byteCount)
        if self.body != .none { shared.body(body.array(0..<body.byteCount), self.body) }
    }
}

extension JSONLine {
    /// The headers as an object; of a name that is repeated the first counts, as in STOMP.
    mutating func headers(_ block: [UInt8]) {
        openObject("headers")
        var names: Set<[UInt8]> = []
        for pair in HeaderBlock.pairs(block) where names.insert(pair.name).inserted {
            field(named: pair.name, text: pair.value)
        }
        closeObject()
    }

    /// `body`, or `body_base64`.
    mutating func body(_ bytes: [UInt8], _ form: BodyForm) {
        switch form {
        case .text: field("body", text: bytes)
        case .base64: field("body_base64", base64: bytes)
        case .auto where UTF8Text.isValid(bytes): field("body", text: bytes)
        case .auto: field("body_base64", base64: bytes)
        case .none: break
        }
    }
}
