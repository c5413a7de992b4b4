package import Base
import ByteSpans
package import DequeModule
package import LogStore
import NIOCore

/// Keeps the messages of persistent queues in the segmented log.
///
/// A thin adapter: spans in, buffers out, notices to events. Confinement: broker loop.
package final class LogMessageStore: MessageStore {
    private let log: LogStore
    /// For messages that are fetched one by one, which is where many queues have a message each: they are
    /// let go of in the same turn, so they do not hold its blocks for long.
    private var arena = ByteArena()

    package init(_ log: LogStore) {
        self.log = log
    }

    /// Largest single message: far above any sensible body, far below a segment's largest offset.
    private static let messageBytesMax = 256 << 20

    package var limits: StoreLimits {
        StoreLimits(
            messageBytesMax: Self.messageBytesMax,
            entriesPerMessageMax: MessageRecord.entriesMax,
            batchBytesMax: 2 * Self.messageBytesMax
        )
    }

    package var lastAppend: AppendID { log.pendingGroup.map(AppendID.init) ?? .none }

    package func hasten() { log.hasten() }

    /// The queues that the log holds, as recovery found them.
    package var recovered: [RecoveredQueue] {
        log.queueNames.map { RecoveredQueue(id: $0.id, name: $0.name, depth: depth($0.id)) }
    }

    package func declare(_ name: String) -> QueueID { log.declare(name) }

    package func delete(_ queue: QueueID) { log.delete(queue) }

    package func enqueue(
        _ message: Message,
        to queue: QueueID,
        at time: WallTime
    ) -> EntrySequence {
        let sequence = log.enqueue(
            headers: message.headers.byteSpan,
            body: message.body.byteSpan,
            to: queue,
            at: time,
            expires: message.expires
        )
        guard let sequence else { fatalError("a message for a queue that the log does not know") }
        return sequence
    }

    package func enqueue(
        _ message: Message,
        toAll queues: [QueueID],
        at time: WallTime
    ) -> [EntrySequence] {
        let sequences = log.enqueue(
            headers: message.headers.byteSpan,
            body: message.body.byteSpan,
            toAll: queues,
            at: time,
            expires: message.expires
        )
        invariant(sequences.count == queues.count, "every child queue is known to the log")
        return sequences
    }

    package func settle(
        _ queue: QueueID,
        _ sequence: EntrySequence,
        bytes: Int?,
        reason: SettleReason
    ) {
        log.settle(queue, sequence, bytes: bytes, reason: reason.rawValue)
    }

    package func requeue(_ queue: QueueID, _ entry: RequeuedEntry) {
        log.requeue(
            queue,
            entry.sequence,
            Requeue(
                deliveryCount: entry.deliveryCount,
                isRejected: entry.isRejected,
                due: entry.due
            )
        )
    }

    package func requeued(_ queue: QueueID) -> [RequeuedEntry] {
        log.requeued(queue).map { sequence, requeue in
            RequeuedEntry(
                sequence: sequence,
                deliveryCount: requeue.deliveryCount,
                isRejected: requeue.isRejected,
                due: requeue.dueMilliseconds
            )
        }
    }

    package func expiryRanges(_ queue: QueueID) -> [ExpiryRange] {
        log.times(queue).map { first, expires, taken in
            ExpiryRange(first: first, expires: expires, time: taken)
        }
    }

    package func purge(_ queue: QueueID, below end: EntrySequence) { log.purge(queue, below: end) }

    package func beginBatch(bytes: Int) { log.beginUnit(bytes: bytes) }

    package func endBatch() { log.endUnit() }

    package func fetch(
        _ queue: QueueID,
        from sequence: EntrySequence,
        limit: FetchLimit,
        into messages: inout UniqueDeque<FetchedMessage>
    ) -> EntrySequence? {
        let start =
            limit.messages == 1
            ? fetchOne(queue, from: sequence, into: &messages)
            : fetchRun(queue, from: sequence, limit, into: &messages)
        guard case .completed(let next) = start else { return nil }
        return next
    }

    @inline(__always)
    private func fetchOne(
        _ queue: QueueID,
        from sequence: EntrySequence,
        into messages: inout UniqueDeque<FetchedMessage>
    ) -> LogStore.FetchStart {
        log.fetch(queue, from: sequence, messagesMax: 1, bytesMax: 1) { entry, headers, body in
            messages.append(FetchedMessage(entry, arena.copy(headers, body)))
        }
    }

    private func fetchRun(
        _ queue: QueueID,
        from sequence: EntrySequence,
        _ limit: FetchLimit,
        into messages: inout UniqueDeque<FetchedMessage>
    ) -> LogStore.FetchStart {
        // A block that fits if those that follow are of the same size: what is not delivered at once keeps
        // all of it. None is made before there is something to put into it.
        var block = ByteBlock(bytes: 0)
        var messagesLeft = limit.messages
        var bytesLeft = limit.bytes
        return log.fetch(
            queue,
            from: sequence,
            messagesMax: limit.messages,
            bytesMax: limit.bytes
        ) { entry, headers, body in
            let count = headers.byteCount + body.byteCount
            if block.room < count {
                block = ByteBlock(bytes: max(count, min(count * messagesLeft, bytesLeft)))
            }
            messages.append(FetchedMessage(entry, block.copy(headers, body)))
            messagesLeft -= 1
            bytesLeft -= count
        }
    }

    package func depth(_ queue: QueueID) -> QueueDepth {
        guard let depth = log.depth(queue) else {
            return QueueDepth(
                messages: 0,
                bytes: 0,
                first: EntrySequence(1),
                next: EntrySequence(1)
            )
        }
        return QueueDepth(
            messages: depth.messages,
            bytes: Int(depth.bytes),
            first: depth.first,
            next: depth.next
        )
    }

    /// What the log's notices mean to the core; nil for what concerns only the operator.
    package static func event(of notice: StoreNotice) -> StoreEvent? {
        switch notice {
        case .durable(let group): .durable(upTo: AppendID(group))
        case .fetched(let result): .fetched(run(of: result))
        case .pressure(let presses): .pressure(presses)
        case .sendsRefused(let reason): .sendsRefused(reason)
        case .failed(let error): .failed(error.description)
        case .damaged, .quarantined, .retentionShortened: nil
        }
    }

    private static func run(of result: ReadResult) -> FetchedRun {
        let buffer = ByteBuffer(bytes: result.bytes)
        return FetchedRun(
            queue: result.job.queue,
            messages: result.items.compactMap { item in
                guard let headers = buffer.getSlice(item.headers),
                    let body = buffer.getSlice(item.body)
                else { return nil }
                return FetchedMessage(item.entry, (headers, body))
            },
            next: result.next
        )
    }
}

extension ByteBuffer {
    fileprivate func getSlice(_ range: Range<Int>) -> ByteBuffer? {
        getSlice(at: range.lowerBound, length: range.count)
    }
}

extension FetchedMessage {
    @inline(__always)
    fileprivate init(_ entry: ReadEntry, _ pieces: (headers: ByteBuffer, body: ByteBuffer)) {
        self.init(
            sequence: entry.sequence,
            deliveryCount: entry.requeue?.deliveryCount ?? 0,
            isRejected: entry.requeue?.isRejected ?? false,
            time: entry.time,
            message: Message(headers: pieces.headers, body: pieces.body, expires: entry.expires)
        )
    }
}
