package import Base

// The small records that change state without carrying a message. Encode and decode stand side by
// side; `docs/format.md` has a table for each.

/// A run of sequences of one queue.
package struct SequenceRange: Equatable, Sendable {
    package let first: UInt64
    package var count: UInt32

    package init(first: UInt64, count: UInt32) {
        self.first = first
        self.count = count
    }

    var end: UInt64 { first + UInt64(count) }
}

/// Entries of one queue are done (`docs/format.md`, "Settle record").
package struct SettleRecord: Equatable, Sendable {
    static let fixedByteCount = 28
    static let rangeByteCount = 12
    /// Longer lists are split over several records.
    static let rangesMax = 4096

    package let queue: QueueID
    package let reason: UInt8
    /// Headers and bodies of what is settled, summed.
    package let bytes: UInt64
    package let ranges: [SequenceRange]

    static func length(ranges: Int) -> Int {
        roundedUpToEight(fixedByteCount + ranges * rangeByteCount)
    }

    init(queue: QueueID, reason: UInt8, bytes: UInt64, ranges: [SequenceRange]) {
        self.queue = queue
        self.reason = reason
        self.bytes = bytes
        self.ranges = ranges
    }

    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        guard header.kind == .settle, header.count > 0,
            header.length == Self.length(ranges: header.count)
        else { return nil }
        queue = QueueID(header.word)
        self.bytes = bytes.uint64(at: offset + 16)
        reason = bytes.uint8(at: offset + 24)
        ranges = (0..<header.count).map { index in
            let at = offset + Self.fixedByteCount + index * Self.rangeByteCount
            return SequenceRange(first: bytes.uint64(at: at), count: bytes.uint32(at: at + 8))
        }
    }

    func append(to span: inout OutputRawSpan, flags: UInt8, seed: UInt32) {
        Self.append(
            to: &span,
            queue: queue,
            reason: reason,
            bytes: bytes,
            ranges: SettledRanges(ranges),
            flags: flags,
            seed: seed
        )
    }

    /// The same without a record's value, so that the ranges are only lent.
    @inline(__always)
    static func append(
        to span: inout OutputRawSpan,
        queue: QueueID,
        reason: UInt8,
        bytes: UInt64,
        ranges: SettledRanges,
        flags: UInt8,
        seed: UInt32
    ) {
        span.appendRecord(
            .settle,
            length: length(ranges: ranges.count),
            flags: flags,
            count: ranges.count,
            word: queue.value,
            seed: seed
        ) { span in
            span.append64(bytes)
            span.append(reason, as: UInt8.self)
            span.append(repeating: 0, count: 3, as: UInt8.self)
            for index in 0..<ranges.count {
                span.append64(ranges[index].first)
                span.append32(ranges[index].count)
            }
        }
    }
}

/// An entry came back (`docs/format.md`, "Requeue record").
package struct RequeueRecord: Equatable, Sendable {
    static let length = 32

    package let queue: QueueID
    package let sequence: UInt64
    package let requeue: Requeue

    init(queue: QueueID, sequence: UInt64, _ requeue: Requeue) {
        self.queue = queue
        self.sequence = sequence
        self.requeue = requeue
    }

    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        guard header.kind == .requeue, header.length == Self.length else { return nil }
        queue = QueueID(header.word)
        sequence = bytes.uint64(at: offset + 16)
        requeue = Requeue(word: bytes.uint64(at: offset + 24))
    }

    func append(to span: inout OutputRawSpan, flags: UInt8, seed: UInt32) {
        span.appendRecord(
            .requeue,
            length: Self.length,
            flags: flags,
            count: 0,
            word: queue.value,
            seed: seed
        ) { span in
            span.append64(sequence)
            span.append64(requeue.word)
        }
    }
}

/// How an entry came back.
package struct Requeue: Equatable, Sendable {
    /// How often it was delivered, at most 2^31 - 1.
    package let deliveryCount: UInt32
    /// A client rejected it: nobody is to get it again.
    package let isRejected: Bool
    /// When it may be delivered again, in s since 1970; 0 = at once.
    package let dueSeconds: UInt32

    /// `due` in ms since 1970 is kept in whole seconds, rounded up.
    package init(deliveryCount: UInt32, isRejected: Bool = false, due: UInt64 = 0) {
        self.deliveryCount = min(deliveryCount, Self.countMax)
        self.isRejected = isRejected
        dueSeconds = UInt32(clamping: due / 1000 + (due % 1000 == 0 ? 0 : 1))
    }

    private static let countMax = UInt32.max >> 1

    /// When it may be delivered again, in ms since 1970; 0 = at once.
    package var dueMilliseconds: UInt64 { UInt64(dueSeconds) * 1000 }

    /// As it stands in records and checkpoints: the count in 31 bits, the mark, then the seconds.
    init(word: UInt64) {
        deliveryCount = UInt32(truncatingIfNeeded: word) & Self.countMax
        isRejected = word & (1 << 31) != 0
        dueSeconds = UInt32(word >> 32)
    }

    var word: UInt64 {
        UInt64(deliveryCount) | (isRejected ? 1 << 31 : 0) | UInt64(dueSeconds) << 32
    }
}

/// A queue exists: written when it is declared, and again before its first entry in each further
/// segment, so that every segment names the queues it holds (`docs/format.md`, "Queue record").
package struct QueueRecord: Equatable, Sendable {
    static let fixedByteCount = 32

    package let queue: QueueID
    package let nextSequence: UInt64
    package let name: String

    init(queue: QueueID, nextSequence: UInt64, name: String) {
        self.queue = queue
        self.nextSequence = nextSequence
        self.name = name
    }

    static func length(nameBytes: Int) -> Int { roundedUpToEight(fixedByteCount + nameBytes) }

    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        guard header.kind == .queue, header.length >= Self.fixedByteCount else { return nil }
        let nameBytes = Int(bytes.uint32(at: offset + 24))
        guard header.length == Self.length(nameBytes: nameBytes) else { return nil }
        queue = QueueID(header.word)
        nextSequence = bytes.uint64(at: offset + 16)
        let start = offset + Self.fixedByteCount
        name = bytes.string(start..<start + nameBytes)
    }

    func append(to span: inout OutputRawSpan, flags: UInt8, seed: UInt32) {
        let nameBytes = Array(name.utf8)
        span.appendRecord(
            .queue,
            length: Self.length(nameBytes: nameBytes.count),
            flags: flags,
            count: 0,
            word: queue.value,
            seed: seed
        ) { span in
            span.append64(nextSequence)
            span.append32(UInt32(nameBytes.count))
            span.append32(0)
            span.append(bytes: nameBytes.span.bytes)
        }
    }
}

/// A queue and all its entries are gone (`docs/format.md`, "Delete record").
package struct DeleteQueueRecord: Equatable, Sendable {
    static let length = 16

    package let queue: QueueID

    init(queue: QueueID) {
        self.queue = queue
    }

    package init?(_ header: RecordHeader) {
        guard header.kind == .deleteQueue, header.length == Self.length else { return nil }
        queue = QueueID(header.word)
    }

    func append(to span: inout OutputRawSpan, flags: UInt8, seed: UInt32) {
        span.appendRecord(
            .deleteQueue,
            length: Self.length,
            flags: flags,
            count: 0,
            word: queue.value,
            seed: seed
        ) { _ in }
    }
}

/// Every entry of a queue below a sequence is done (`docs/format.md`, "Purge record").
package struct PurgeRecord: Equatable, Sendable {
    static let length = 24

    package let queue: QueueID
    package let below: UInt64

    init(queue: QueueID, below: UInt64) {
        self.queue = queue
        self.below = below
    }

    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        guard header.kind == .purge, header.length == Self.length else { return nil }
        queue = QueueID(header.word)
        below = bytes.uint64(at: offset + 16)
    }

    func append(to span: inout OutputRawSpan, flags: UInt8, seed: UInt32) {
        span.appendRecord(
            .purge,
            length: Self.length,
            flags: flags,
            count: 0,
            word: queue.value,
            seed: seed
        ) { span in
            span.append64(below)
        }
    }
}

/// Ends an atomic unit of several records (`docs/format.md`, "Unit end").
enum UnitEndRecord {
    static let length = 16

    static func append(to span: inout OutputRawSpan, seed: UInt32) {
        span.appendRecord(
            .unitEnd,
            length: length,
            flags: 0,
            count: 0,
            word: 0,
            seed: seed
        ) { _ in }
    }
}

/// Begins a group: what one write puts on disk and one sync makes durable (`docs/format.md`,
/// "Group record").
package struct GroupRecord: Equatable, Sendable {
    package static let length = 48

    package let number: UInt64
    package let epoch: UInt64
    /// Everything before it was durable when this group was handed to the disk.
    package let durable: LogPosition
    /// Bytes of the whole group, this record included.
    package let groupBytes: Int

    init(number: UInt64, epoch: UInt64, durable: LogPosition, groupBytes: Int) {
        self.number = number
        self.epoch = epoch
        self.durable = durable
        self.groupBytes = groupBytes
    }

    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        guard header.kind == .group, header.length == Self.length else { return nil }
        number = bytes.uint64(at: offset + 16)
        epoch = bytes.uint64(at: offset + 24)
        durable = LogPosition(value: bytes.uint64(at: offset + 32))
        groupBytes = Int(truncatingIfNeeded: bytes.uint64(at: offset + 40) & 0xFFFF_FFFF)
        guard groupBytes >= Self.length else { return nil }
    }

    func append(to span: inout OutputRawSpan, seed: UInt32) {
        span.appendRecord(
            .group,
            length: Self.length,
            flags: 0,
            count: 0,
            word: 0,
            seed: seed
        ) { span in
            span.append64(number)
            span.append64(epoch)
            span.append64(durable.value)
            span.append64(UInt64(groupBytes))
        }
    }
}
