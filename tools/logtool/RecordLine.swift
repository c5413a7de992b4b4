import Base
import LogStore

/// Prints the log's records as lines of JSON.
///
/// Confinement: one verb.
struct RecordLine {
    private let filter: MessageFilter
    private let body: BodyForm
    private var line = JSONLine()
    /// The time of the last message, for records that carry none.
    private var time: UInt64?

    init(_ filter: MessageFilter, body: BodyForm) {
        self.filter = filter
        self.body = body
    }

    /// The record's line, or nothing if the filters leave it out.
    mutating func line(
        _ placed: PlacedRecord,
        _ bytes: RawSpan,
        _ name: (UInt32) -> String?
    ) -> JSONLine? {
        if case .message(let message) = placed.record { time = message.timeMilliseconds }
        guard passes(placed.record, bytes, name) else { return nil }
        line.clear()
        line.openObject()
        line.field("file", FileNames.segment(placed.position.segment))
        line.field("offset", placed.position.offset)
        line.field("length", placed.length)
        line.field("kind", Self.kind(placed.record))
        if placed.continues { line.field("in_unit", true) }
        write(placed.record, bytes, name)
        line.closeObject()
        line.endLine()
        return line
    }

    private static func kind(_ record: LogRecord) -> String {
        switch record {
        case .group: "group"
        case .message: "message"
        case .settle: "settle"
        case .requeue: "requeue"
        case .queue: "queue"
        case .deleteQueue: "delete_queue"
        case .purge: "purge"
        case .footer: "footer"
        case .unitEnd: "unit_end"
        case .unreadable: "unreadable"
        case .damage: "damage"
        }
    }

    // MARK: Filters

    private func passes(
        _ record: LogRecord,
        _ bytes: RawSpan,
        _ name: (UInt32) -> String?
    ) -> Bool {
        guard filter.takes(time: time ?? 0) else { return false }
        func isOfQueue(_ id: QueueID, _ isNamed: () -> Bool) -> Bool {
            passes(id, name, isNamed)
        }
        if case .message(let message) = record {
            let isNamed = (0..<message.entryCount).contains { index in
                let (queue, sequence) = message.entry(index, in: bytes)
                return isOfQueue(queue) { filter.takes(sequence: sequence.value) }
            }
            return isNamed && filter.takes(headers: bytes.extracting(message.headers))
        }
        if filter.asksForHeaders { return false }
        switch record {
        case .settle(let settle):
            return settle.runs.contains { passes($0, name) }
        case .requeue(let requeue):
            return isOfQueue(requeue.queue) { filter.takes(sequence: requeue.sequence) }
        case .queue(let queue):
            return filter.takes(queue: queue.name) && !filter.asksForSequences
        case .deleteQueue(let delete): return isOfQueue(delete.queue) { false }
        case .purge(let purge): return isOfQueue(purge.queue) { false }
        case .group, .footer, .unitEnd: return filter.isOpen && !filter.asksForSequences
        case .message, .unreadable, .damage: return true
        }
    }

    private func passes(_ run: SettledRun, _ name: (UInt32) -> String?) -> Bool {
        passes(run.queue, name) {
            (0..<UInt64(run.count)).contains { filter.takes(sequence: run.first + $0) }
        }
    }

    /// Whether a queue is asked for, and one of its sequences, which `isNamed` looks for, if any are.
    private func passes(
        _ queue: QueueID,
        _ name: (UInt32) -> String?,
        _ isNamed: () -> Bool
    ) -> Bool {
        (filter.isOpen || filter.takes(queue: name(queue.value) ?? ""))
            && (!filter.asksForSequences || isNamed())
    }

    // MARK: Fields

    private mutating func write(
        _ record: LogRecord,
        _ bytes: RawSpan,
        _ name: (UInt32) -> String?
    ) {
        switch record {
        case .group(let group):
            line.field("group", group.number)
            line.field("epoch", group.epoch)
            line.field("durable", group.durable.description)
            line.field("group_bytes", group.groupBytes)
        case .message(let message): write(message, bytes, name)
        case .settle(let settle): write(settle, name)
        case .requeue(let requeue):
            queue(requeue.queue, name)
            line.field("sequence", requeue.sequence)
            line.write(requeue.requeue)
        case .queue(let record):
            line.field("queue_id", record.queue.value)
            line.field("queue", record.name)
            line.field("next_sequence", record.nextSequence)
        case .deleteQueue(let record): queue(record.queue, name)
        case .purge(let record):
            queue(record.queue, name)
            line.field("below", record.below)
        case .footer(let footer): write(footer, name)
        case .damage(let reason): line.field("reason", reason)
        case .unitEnd, .unreadable: break
        }
    }

    private mutating func queue(_ id: QueueID, _ name: (UInt32) -> String?) {
        line.field("queue_id", id.value)
        if let name = name(id.value) { line.field("queue", name) }
    }

    private mutating func write(
        _ message: MessageRecord,
        _ bytes: RawSpan,
        _ name: (UInt32) -> String?
    ) {
        line.field("time", CivilTime.stamp(message.timeMilliseconds))
        line.field("time_ms", message.timeMilliseconds)
        line.write(expires: message.expiresMilliseconds)
        line.openArray("entries")
        for index in 0..<message.entryCount {
            let (id, sequence) = message.entry(index, in: bytes)
            line.openObject()
            queue(id, name)
            line.field("sequence", sequence.value)
            line.closeObject()
        }
        line.closeArray()
        line.headers(bytes.array(message.headers))
        line.field("body_bytes", message.body.count)
        if body != .none { line.body(bytes.array(message.body), body) }
    }

    private mutating func write(_ settle: SettleRecord, _ name: (UInt32) -> String?) {
        line.openArray("runs")
        // There may be thousands, of as many queues.
        for run in settle.runs where passes(run, name) {
            line.openObject()
            queue(run.queue, name)
            line.field("first", run.first)
            line.field("count", run.count)
            line.field("bytes", run.bytes)
            line.field("reason", Self.reason(run.reason))
            line.closeObject()
        }
        line.closeArray()
    }

    private static func reason(_ code: UInt8) -> String {
        switch code {
        case 1: "acknowledged"
        case 2: "expired"
        case 3: "dead-lettered"
        case 4: "dropped"
        default: "\(code)"
        }
    }

    private mutating func write(_ footer: SegmentFooter, _ name: (UInt32) -> String?) {
        line.openArray("queues")
        for entry in footer.lines {
            line.openObject()
            queue(entry.queue, name)
            line.field("first", entry.first)
            line.field("count", entry.count)
            line.field("bytes", entry.bytes)
            line.closeObject()
        }
        line.closeArray()
    }
}
