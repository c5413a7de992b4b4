import Base
import DequeModule

// One queue's state. Its entries, in rising sequence:
//
//     settled or in flight | returned | ready .. | not fetched yet .. | not durable yet .. appendedEnd
//     or delayed or dying              ^ front              ^ cursor     ^ durableEnd
//
// Invariants:
// 1. `ready` rises. A persistent queue's holds what was fetched and not delivered; a memory queue's
//    holds all that is not in flight.
// 2. `returned` rises and lies below `cursor`: entries of a persistent queue that came back and are
//    not fetched again. The next delivery is the lowest of `returned` and `ready`, so that what comes
//    back has its old place.
// 3. Nothing at or past `durableEnd` is delivered. (A memory queue's is the largest sequence.)
// 4. `delayed` entries came back and wait for their time; `dying` ones wait to be read, in order to
//    become dead letters. Neither is delivered, and a fetch that brings them passes over them.
// 5. Without a subscriber nothing is in flight, and a persistent queue holds nothing fetched (but for
//    what it had to read in order to drop it).

/// One queue: what is ready, who waits for it, what is in flight.
///
/// There is one object per queue and none per message.
///
/// Confinement: broker loop.
final class Queue {
    /// An entry of a persistent queue that came back, and how often it was delivered.
    struct Returned {
        let sequence: EntrySequence
        let deliveryCount: UInt32
    }

    /// An entry that nobody is to get again.
    struct Dying {
        let sequence: EntrySequence
        let deliveryCount: UInt32
        let reason: DeathReason
        /// For memory queues, which have no other place for it.
        let item: FetchedMessage?
    }

    /// The one fetch that may be open.
    enum Fetch: Equatable {
        case none
        /// New entries from the cursor on.
        case forward
        /// Returned entries from this one on.
        case returned(EntrySequence)
        /// Dying entries from this one on.
        case dying(EntrySequence)
        /// Entries of a run in which some have expired; `cursor` as it was then.
        case sweep(EntrySequence, end: EntrySequence?, cursor: EntrySequence)
        /// What it brings is of no use any more: the queue went back to its start meanwhile.
        case discarded
    }

    /// How far one group of appends covers the queue.
    private struct DurabilityMark {
        let append: AppendID
        let end: EntrySequence
    }

    // What every message needs stands first, in the order in which it is needed: with thousands of queues each
    // of them is far from the processor, and each line of its cache that a message takes from there costs as
    // much as hundreds of instructions.

    let id: QueueID
    /// The policy's `deliveriesMax`, but none for a queue of dead letters, which have nowhere to go.
    private(set) var deliveriesMax: UInt32 = 0
    let isPersistent: Bool
    /// Whether the policy has limits, and what it says of messages past them.
    private(set) var isBounded = false
    private(set) var dropsOldest = false
    /// The last forward fetch had to read from the disk, so that the next one is begun early.
    var isCold = false
    /// It is served once what is going on is done.
    var isDeferred = false
    /// The policy's `timeToLive` in ms; 0 = for ever.
    private(set) var timeToLive: UInt64 = 0
    var expiry = ExpiryMap()
    /// The sequence that the next message will get, as far as this queue was told.
    private(set) var appendedEnd: EntrySequence
    private var marks = InlineDeque<DurabilityMark>()

    private(set) var durableEnd: EntrySequence
    var waiting = WaitingLine()
    /// How many messages at most are kept at hand for those who wait: about as many as they took of the last
    /// ones.
    var atHandMax = 1
    var ready = UniqueDeque<FetchedMessage>()
    var returned = UniqueDeque<Returned>()
    var cursor: EntrySequence
    var fetch = Fetch.none
    /// Messages that the next forward fetch asks for at most; doubles while consumers keep taking.
    var fetchMessages = Queue.fetchMessagesMin
    /// In rising order.
    var dying = UniqueDeque<Dying>()
    var delayed = DelayedEntries()
    /// `ready` held more than a small run at some time, so that its memory may be large.
    var hadLargeReady = false
    /// Bytes of the messages in `ready`.
    var readyBytes = 0
    var inFlightCount = 0
    var inFlightBytes = 0
    /// The policy's `ackTimeout`.
    private(set) var ackTimeout = Interval.zero
    let destination: DestinationID

    let name: String
    private(set) var policy: BrokerSettings.QueuePolicy
    /// When the timer looks at it next; nil if there is nothing to wait for.
    var timer: MonotonicTime?
    private var lastAsked: EntrySequence
    /// When its dead-letter queue last took none; nil once it took some for long enough.
    var lettersRefusedAt: MonotonicTime?
    var subscriberCount = 0
    /// Those of them that cover it by a pattern.
    var patternSubscriberCount = 0
    /// What a transaction that is being checked would add.
    var reservedMessages = 0
    var reservedBytes = 0

    /// First forward fetch: enough for a consumer with little credit.
    static let fetchMessagesMin = 8
    /// What a run of so many takes in memory may wander from queue to queue.
    static let smallRunMax = 64
    /// Largest fetch: a round trip to the disk is spread over this many.
    static let fetchMessagesMax = 512
    static let fetchBytesMax = 128 << 10

    /// Makes a persistent queue as the store knows it.
    init(
        persistent id: QueueID,
        name: String,
        destination: DestinationID,
        policy: BrokerSettings.QueuePolicy,
        first: EntrySequence,
        next: EntrySequence
    ) {
        self.id = id
        self.name = name
        self.destination = destination
        self.policy = policy
        isPersistent = true
        cursor = first
        durableEnd = next
        appendedEnd = next
        lastAsked = next
        keepFigures()
    }

    /// Makes an empty memory queue.
    init(
        memory id: QueueID,
        name: String,
        destination: DestinationID,
        policy: BrokerSettings.QueuePolicy,
        firstSequence: EntrySequence
    ) {
        self.id = id
        self.name = name
        self.destination = destination
        self.policy = policy
        isPersistent = false
        cursor = firstSequence
        durableEnd = EntrySequence(.max)
        appendedEnd = firstSequence
        lastAsked = firstSequence
        keepFigures()
    }

    /// Keeps at hand what every message needs of the policy.
    private func keepFigures() {
        let isOwnGrave = policy.deadLetter == name
        deliveriesMax = isOwnGrave ? 0 : UInt32(clamping: policy.deliveriesMax)
        timeToLive = policy.timeToLive.milliseconds
        ackTimeout = policy.ackTimeout
        isBounded = policy.messagesMax > 0 || policy.bytesMax > 0
        dropsOldest = policy.overflow == .dropOldest
    }

    /// Takes a changed policy; where messages are kept does not change.
    func apply(_ policy: BrokerSettings.QueuePolicy) {
        var policy = policy
        policy.storage = self.policy.storage
        self.policy = policy
        keepFigures()
    }

    // MARK: Appending

    /// Whether a message was sent since the last call.
    func takeWasUsed() -> Bool {
        defer { lastAsked = appendedEnd }
        return appendedEnd > lastAsked
    }

    /// Gives a memory queue's next message its sequence.
    func takeSequence() -> EntrySequence {
        defer { appendedEnd = appendedEnd.next }
        return appendedEnd
    }

    /// Notes an entry appended to the store; true if `append` is new here and so must be waited for.
    func appended(_ sequence: EntrySequence, coveredBy append: AppendID) -> Bool {
        invariant(sequence >= appendedEnd, "sequences of a queue rise")
        appendedEnd = sequence.next
        if append == .none {
            // The store may confirm at once only what has nothing unconfirmed before it.
            durableEnd = appendedEnd
            marks.removeAll()
            return false
        }
        let mark = DurabilityMark(append: append, end: appendedEnd)
        if marks.last?.append == append {
            marks.replaceLast(mark)
            return false
        }
        marks.append(mark)
        return true
    }

    /// Takes note that everything up to `append` is durable.
    func becameDurable(upTo append: AppendID) {
        while let mark = marks.first, mark.append <= append {
            if mark.end > durableEnd { durableEnd = mark.end }
            marks.removeFirst()
        }
    }

    // MARK: Taking

    /// True if nothing is at hand or worth asking the store for; false says nothing.
    ///
    /// The quick end of most turns of most queues.
    @inline(__always)
    var isExhausted: Bool { ready.isEmpty && cursor >= durableEnd && returned.isEmpty }

    /// True if the next message to deliver is at hand.
    var frontIsReady: Bool {
        guard !ready.isEmpty else { return false }
        let front = ready[0].sequence
        guard front < durableEnd else { return false }
        return returned.isEmpty || front < returned[0].sequence
    }

    /// Takes the front of `ready`.
    @inline(__always)
    func takeFront() -> FetchedMessage {
        let front = ready.removeFirst()
        readyBytes -= front.message.byteCount
        return front
    }

    /// Gives the memory of `ready`, which must be empty, to the next small run, unless longer runs come here;
    /// what is not small goes.
    @inline(__always)
    func giveSmallMemory(to run: inout UniqueDeque<FetchedMessage>) {
        invariant(ready.isEmpty, "what is ready keeps its memory")
        guard fetchMessages <= Self.smallRunMax else { return }
        var memory = UniqueDeque<FetchedMessage>()
        swap(&memory, &ready)
        if !hadLargeReady { run = memory }
        hadLargeReady = false
    }

    // MARK: Coming back

    /// Puts entries back in their places; `entries` rises and is not empty.
    func putBack(_ entries: [FetchedMessage]) {
        invariant(!isPersistent, "only memory queues take messages back")
        for entry in entries { readyBytes += entry.message.byteCount }
        ready.mergeFront(entries) { $0.sequence < $1.sequence }
    }

    /// Notes entries of a persistent queue that came back; `entries` rises and is not empty.
    func putBack(_ entries: [Returned]) {
        invariant(isPersistent, "memory queues take back messages")
        returned.mergeFront(entries) { $0.sequence < $1.sequence }
    }

    /// Forgets what was fetched, to be called when nobody is subscribed; returns the bytes let go.
    func forgetFetched() -> Int {
        guard isPersistent else { return 0 }
        invariant(inFlightCount == 0, "nothing is in flight without a subscriber")
        let bytes = ready.isEmpty ? 0 : letGoOfReady()
        if let first = returned.first?.sequence { cursor = min(cursor, first) }
        ready = UniqueDeque()
        hadLargeReady = false
        returned = UniqueDeque()
        fetchMessages = Self.fetchMessagesMin
        switch fetch {
        case .forward, .returned: fetch = .discarded
        case .none, .dying, .sweep, .discarded: break
        }
        return bytes
    }
}
