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

/// A run of entries of one queue that were settled for one reason.
package struct SettledRun: Equatable, Sendable {
    package let queue: QueueID
    /// At most `countMax` in a new record.
    package private(set) var count: UInt32
    package let first: UInt64
    /// Headers and bodies of these entries, summed; a new record has 32 bits for them.
    package private(set) var bytes: UInt64
    package let reason: UInt8

    static let countMax: UInt32 = 1 << 24 - 1

    package init(queue: QueueID, first: UInt64, count: UInt32, bytes: UInt64, reason: UInt8) {
        self.queue = queue
        self.count = count
        self.first = first
        self.bytes = bytes
        self.reason = reason
    }

    package var range: SequenceRange { SequenceRange(first: first, count: count) }

    /// Takes in an entry of a queue if it is the one behind its last one; false if not.
    @inline(__always)
    mutating func goOn(
        with sequence: UInt64,
        bytes: UInt64,
        reason: UInt8,
        of queue: QueueID
    ) -> Bool {
        guard self.queue == queue, first + UInt64(count) == sequence, self.reason == reason,
            self.bytes + bytes <= UInt32.max, count < Self.countMax
        else { return false }
        count += 1
        self.bytes += bytes
        return true
    }
}

/// Entries are done, of one queue or of many (`docs/format.md`, "Settle record").
package struct SettleRecord: Equatable, Sendable {
    static let fixedByteCount = 16
    static let runByteCount = 20
    /// Longer lists are split over several records.
    static let runsMax = 4096

    package let runs: [SettledRun]

    static func length(runs: Int) -> Int {
        roundedUpToEight(fixedByteCount + runs * runByteCount)
    }

    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        switch header.kind {
        case .settle:
            guard header.count > 0, header.length == Self.length(runs: header.count) else {
                return nil
            }
            runs = (0..<header.count).map { index in
                let at = offset + Self.fixedByteCount + index * Self.runByteCount
                return SettledRun(
                    queue: QueueID(bytes.uint32(at: at)),
                    first: bytes.uint64(at: at + 8),
                    count: bytes.uint32(at: at + 4) & SettledRun.countMax,
                    bytes: UInt64(bytes.uint32(at: at + 16)),
                    reason: bytes.uint8(at: at + 7)
                )
            }
        case .settleOfQueue:
            guard let record = QueueSettleRecord(header, bytes, at: offset) else { return nil }
            runs = record.runs
        default: return nil
        }
    }

    @inline(__always)
    static func append(
        to span: inout OutputRawSpan,
        _ settles: PendingSettles,
        flags: UInt8,
        seed: UInt32
    ) {
        span.appendRecord(
            .settle,
            length: length(runs: settles.count),
            flags: flags,
            count: settles.count,
            word: 0,
            seed: seed
        ) { span in
            for index in 0..<settles.count {
                let run = settles[index]
                span.append32(run.queue.value)
                span.append32(run.count | UInt32(run.reason) << 24)
                span.append64(run.first)
                span.append32(UInt32(clamping: run.bytes))
            }
        }
    }
}

/// Entries of one queue are done, as segments of versions 1 and 2 say it (`docs/format.md`, "Settle record
/// of one queue").
private struct QueueSettleRecord {
    static let fixedByteCount = 28
    static let rangeByteCount = 12

    /// Each with its share of the bytes, which are a sum over all.
    let runs: [SettledRun]

    init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        let length = Self.fixedByteCount + header.count * Self.rangeByteCount
        guard header.count > 0, header.length == roundedUpToEight(length) else { return nil }
        let reason = bytes.uint8(at: offset + 24)
        let ranges = (0..<header.count).map { index in
            let at = offset + Self.fixedByteCount + index * Self.rangeByteCount
            return SequenceRange(first: bytes.uint64(at: at), count: bytes.uint32(at: at + 8))
        }
        var bytesLeft = bytes.uint64(at: offset + 16)
        var entriesLeft = ranges.reduce(0) { $0 + UInt64($1.count) }
        runs = ranges.map { range in
            let count = UInt64(range.count)
            let share = count == entriesLeft ? bytesLeft : bytesLeft / entriesLeft * count
            bytesLeft -= share
            entriesLeft -= count
            return SettledRun(
                queue: QueueID(header.word),
                first: range.first,
                count: range.count,
                bytes: share,
                reason: reason
            )
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
