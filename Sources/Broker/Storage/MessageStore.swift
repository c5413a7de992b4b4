package import Base
package import DequeModule

// The seam behind which messages are kept. The core knows nothing else about storage: no file, no
// offset, no thread. A local log stands behind it today; a replicated one can later.
//
// Rules of the seam:
// 1. An `AppendID` is opaque and rises. `durable(upTo: n)` says the same of all before n.
// 2. If an append fails, everything after it fails too.
// 3. Durable may take seconds. Unconfirmed bytes are bounded: past the bound the store reports
//    `pressure(true)` and the core stops reading from senders.
// 4. `fetch` completes at once or later, may return less than asked, and may skip damaged entries.
// 5. Ownership can end: after `failed` no receipt may be given and nothing may be delivered.
// 6. Leases are not stored: after a restart every unsettled entry is ready again, unless it was
//    recorded as come back with a time to wait for.

/// Stands for everything appended up to some moment; opaque, rising, compared only.
package struct AppendID: Comparable, Hashable, Sendable {
    package let value: UInt64

    package init(_ value: UInt64) {
        self.value = value
    }

    /// Before every append: already durable.
    package static let none = AppendID(0)

    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// Why an entry is done.
package enum SettleReason: UInt8, Sendable {
    case acknowledged = 1
    case expired = 2
    case deadLettered = 3
    case dropped = 4
}

/// A queue as the store found it when it was opened.
package struct RecoveredQueue: Sendable, Equatable {
    package let id: QueueID
    package let name: String
    package let depth: QueueDepth

    package init(id: QueueID, name: String, depth: QueueDepth) {
        self.id = id
        self.name = name
        self.depth = depth
    }
}

/// What a queue holds that is not settled, in flight or not.
package struct QueueDepth: Sendable, Equatable {
    package var messages: Int
    package var bytes: Int
    /// The oldest unsettled entry, or the sequence that the next message will get.
    package var first: EntrySequence
    /// The sequence that the next message will get.
    package var next: EntrySequence

    package init(messages: Int, bytes: Int, first: EntrySequence, next: EntrySequence) {
        self.messages = messages
        self.bytes = bytes
        self.first = first
        self.next = next
    }
}

/// One entry with its message, as read back.
package struct FetchedMessage: Sendable, Equatable {
    package let sequence: EntrySequence
    /// How often it was delivered and came back, as far as the store was told.
    package let deliveryCount: UInt32
    /// A client rejected it: nobody is to get it again.
    package let isRejected: Bool
    /// When the message was taken, in ms since 1970.
    package let time: UInt64
    package let message: Message

    @inline(__always)
    package init(
        sequence: EntrySequence,
        deliveryCount: UInt32,
        isRejected: Bool = false,
        time: UInt64,
        message: Message
    ) {
        self.sequence = sequence
        self.deliveryCount = deliveryCount
        self.isRejected = isRejected
        self.time = time
        self.message = message
    }
}

/// An unsettled entry that came back before the store was opened.
package struct RequeuedEntry: Sendable, Equatable {
    package let sequence: EntrySequence
    package let deliveryCount: UInt32
    package let isRejected: Bool
    /// When it may be delivered again, in ms since 1970; 0 = at once.
    package let due: UInt64

    package init(
        sequence: EntrySequence,
        deliveryCount: UInt32,
        isRejected: Bool,
        due: UInt64
    ) {
        self.sequence = sequence
        self.deliveryCount = deliveryCount
        self.isRejected = isRejected
        self.due = due
    }
}

/// What is known of the times of a run of entries, from `first` to where the next run begins.
package struct ExpiryRange: Sendable, Equatable {
    package let first: EntrySequence
    /// No message in it expires before, by what its sender said; in ms since 1970, `.max` = none does.
    package let expires: UInt64
    /// No message in it was taken before, in ms since 1970.
    package let time: UInt64

    package init(first: EntrySequence, expires: UInt64, time: UInt64) {
        self.first = first
        self.expires = expires
        self.time = time
    }
}

/// What a fetch brought later.
package struct FetchedRun: Sendable {
    package let queue: QueueID
    /// Unsettled entries in rising order; empty when there are none from the asked sequence on, or
    /// when all that was read is damaged.
    package let messages: [FetchedMessage]
    /// Where the next fetch goes on.
    ///
    /// Entries before it that are not in `messages` are settled or cannot be read; they are never
    /// worth asking for again in this run of the store.
    package let next: EntrySequence

    package init(queue: QueueID, messages: [FetchedMessage], next: EntrySequence) {
        self.queue = queue
        self.messages = messages
        self.next = next
    }
}

/// How much a fetch may bring at most; one message comes even if it is larger.
package struct FetchLimit: Sendable, Equatable {
    package let messages: Int
    package let bytes: Int

    package init(messages: Int, bytes: Int) {
        self.messages = messages
        self.bytes = bytes
    }
}

/// What a store reports on its own; the owner of the store hands it to the broker.
package enum StoreEvent: Sendable {
    /// Everything up to and including this append is durable by the store's rule.
    case durable(upTo: AppendID)
    case fetched(FetchedRun)
    /// Unconfirmed bytes passed their bound (true) or fell well below it (false).
    case pressure(Bool)
    /// New messages are refused for this reason (disk full), or taken again (nil). Settles go on.
    case sendsRefused(String?)
    /// The store has ended: nothing unconfirmed will ever be confirmed.
    case failed(String)
}

/// Sizes that the core must respect.
package struct StoreLimits: Sendable, Equatable {
    /// Headers and body of one message; the headers of a dead letter may come on top.
    package let messageBytesMax: Int
    /// More than those headers take.
    package static let deadLetterBytesMax = 1024

    /// Queues one message can go to at once.
    package let entriesPerMessageMax: Int
    /// Headers and bodies of all messages in one atomic batch.
    package let batchBytesMax: Int

    package init(messageBytesMax: Int, entriesPerMessageMax: Int, batchBytesMax: Int) {
        self.messageBytesMax = messageBytesMax
        self.entriesPerMessageMax = entriesPerMessageMax
        self.batchBytesMax = batchBytesMax
    }
}

/// Keeps the messages of persistent queues.
///
/// Confinement: broker loop, all calls and events. No call blocks. Nothing that is appended is
/// visible to `fetch` guarantees of durability: the core waits for `.durable` before it delivers.
package protocol MessageStore: AnyObject {
    var limits: StoreLimits { get }

    /// The append that covers everything appended so far; `.none` if all of it is durable already.
    var lastAppend: AppendID { get }

    /// Says that somebody waits for `lastAppend` to be durable: settles may be kept back for a moment
    /// otherwise.
    func hasten()

    /// Creates a queue. Its id is usable at once.
    func declare(_ name: String) -> QueueID

    /// Removes a queue and every entry in it; its id is never used again.
    func delete(_ queue: QueueID)

    /// Appends a message to one queue and returns its sequence there.
    ///
    /// The caller has checked `limits` and that sends are not refused.
    func enqueue(_ message: Message, to queue: QueueID, at time: WallTime) -> EntrySequence

    /// Appends one message with an entry in each queue, all or none; sequences in the order of
    /// `queues`.
    func enqueue(_ message: Message, toAll queues: [QueueID], at time: WallTime) -> [EntrySequence]

    /// Says that an entry is done. `bytes` is the message's `byteCount`, or nil if the caller never
    /// fetched it.
    func settle(
        _ queue: QueueID,
        _ sequence: EntrySequence,
        bytes: Int?,
        reason: SettleReason
    )

    /// Records that an entry came back.
    func requeue(_ queue: QueueID, _ entry: RequeuedEntry)

    /// The unsettled entries that were ever recorded as come back, in rising order; for the start.
    func requeued(_ queue: QueueID) -> [RequeuedEntry]

    /// Bounds on the times of the queue's unsettled entries, in rising order; for the start.
    func expiryRanges(_ queue: QueueID) -> [ExpiryRange]

    /// Settles every entry of a queue below `end`, as one record.
    func purge(_ queue: QueueID, below end: EntrySequence)

    /// Makes everything appended until `endBatch` one atomic unit.
    ///
    /// `bytes` is what its messages come to, so that the store can make room in one place. Not
    /// nested; the two calls stand in one turn.
    func beginBatch(bytes: Int)

    /// Ends the unit that `beginBatch` began.
    func endBatch()

    /// Reads unsettled entries of a queue from `sequence` on, and appends them to `messages`.
    ///
    /// Returns where the next fetch goes on, like a run's `next`; nil, and nothing read: a `.fetched` event
    /// follows. At most one fetch per queue may be open. A message that is asked for alone may share
    /// memory with many others: it is to be let go of, or copied, by the end of the turn.
    func fetch(
        _ queue: QueueID,
        from sequence: EntrySequence,
        limit: FetchLimit,
        into messages: inout UniqueDeque<FetchedMessage>
    ) -> EntrySequence?

    /// What the queue holds; from memory.
    func depth(_ queue: QueueID) -> QueueDepth
}
