package import Base
package import DequeModule

/// A message store that keeps everything in memory and can be as hostile as the seam allows.
///
/// For tests and simulation. What it will do next follows from its behaviour's seed and the calls
/// made so far. It reports nothing on its own: the owner calls `takeEvents()` and hands on what comes.
///
/// Confinement: its owner.
package final class MemoryMessageStore: MessageStore {
    /// What the store does with what the seam leaves open.
    package struct Behaviour: Sendable {
        /// Everything is durable as soon as it is appended, and `lastAppend` is always `.none`.
        package var isDurableAtOnce = true
        /// One fetch in so many is answered later; 0 = none.
        package var laterFetchOneIn = 0
        /// One fetch in so many brings less than it could; 0 = none.
        package var shortFetchOneIn = 0
        /// `takeEvents()` reports only some of what it could, appends of one turn fall into several
        /// groups, and pressure comes and goes.
        package var isErratic = false
        package var seed: UInt64 = 0
        package var limits = StoreLimits(
            messageBytesMax: 1 << 20,
            entriesPerMessageMax: 16,
            batchBytesMax: 4 << 20
        )

        package init() {}
    }

    private struct Entry {
        let sequence: EntrySequence
        let message: Message
        let time: UInt64
        /// How it came back last.
        var requeue: RequeuedEntry?
        var isSettled = false
        var isDamaged = false
    }

    private struct StoredQueue {
        let name: String
        var entries = Deque<Entry>()
        var messages = 0
        var bytes = 0
        var next = EntrySequence(1)
        var isDeleted = false

        func index(from sequence: EntrySequence) -> Int {
            var low = 0
            var high = entries.count
            while low < high {
                let middle = (low + high) / 2
                if entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    private struct OpenFetch {
        let queue: QueueID
        let from: EntrySequence
        let limit: FetchLimit
        /// What was read when it was asked for; nil if it is read when it is answered.
        var run: FetchedRun?
    }

    /// What the owner wants the store to do; may be changed at any time.
    package var behaviour: Behaviour
    private var generator: SeededGenerator
    private var queues: [StoredQueue] = []
    /// Number of the group that takes appends now, whether anything is in it, and how far groups are
    /// confirmed.
    private var openGroup: UInt64 = 1
    private var isOpenGroupUsed = false
    private var confirmed: UInt64 = 0
    private var openFetches: [OpenFetch] = []
    private var queuedEvents: [StoreEvent] = []
    private var isUnderPressure = false
    private var failure: String?
    private var isInBatch = false

    /// Appends of all kinds, and batches, since the start.
    package private(set) var appendCount = 0
    package private(set) var batchCount = 0
    /// Bodies taken, whatever the number of queues each went to.
    package private(set) var bodyCount = 0
    package private(set) var fetchCount = 0
    /// How often it was told that somebody waits.
    package private(set) var hastenCount = 0

    package init(_ behaviour: Behaviour = Behaviour()) {
        self.behaviour = behaviour
        generator = SeededGenerator(seed: behaviour.seed)
    }

    package var limits: StoreLimits { behaviour.limits }

    package func hasten() { hastenCount += 1 }

    package var lastAppend: AppendID {
        if isOpenGroupUsed { return AppendID(openGroup) }
        return confirmed + 1 < openGroup ? AppendID(openGroup - 1) : .none
    }

    // MARK: Appending

    package func declare(_ name: String) -> QueueID {
        queues.append(StoredQueue(name: name))
        appended()
        return QueueID(UInt32(queues.count - 1))
    }

    package func delete(_ queue: QueueID) {
        queues[slot(queue)] = StoredQueue(name: queues[slot(queue)].name, isDeleted: true)
        appended()
    }

    package func enqueue(
        _ message: Message,
        to queue: QueueID,
        at time: WallTime
    ) -> EntrySequence {
        bodyCount += 1
        return add(message, to: queue, at: time)
    }

    package func enqueue(
        _ message: Message,
        toAll queues: [QueueID],
        at time: WallTime
    ) -> [EntrySequence] {
        invariant(!queues.isEmpty && queues.count <= limits.entriesPerMessageMax, "within limits")
        bodyCount += 1
        return queues.map { add(message, to: $0, at: time) }
    }

    package func settle(
        _ queue: QueueID,
        _ sequence: EntrySequence,
        bytes: Int?,
        reason: SettleReason
    ) {
        let slot = slot(queue)
        let index = queues[slot].index(from: sequence)
        invariant(
            index < queues[slot].entries.count && queues[slot].entries[index].sequence == sequence
                && !queues[slot].entries[index].isSettled,
            "entry \(sequence.value) of \(queues[slot].name) is settled once"
        )
        let size = queues[slot].entries[index].message.byteCount
        invariant(bytes == nil || bytes == size, "the core knows the size of what it fetched")
        markSettled(index, in: slot)
        appended()
    }

    package func requeue(_ queue: QueueID, _ entry: RequeuedEntry) {
        let slot = slot(queue)
        let index = queues[slot].index(from: entry.sequence)
        invariant(
            index < queues[slot].entries.count
                && queues[slot].entries[index].sequence == entry.sequence
                && !queues[slot].entries[index].isSettled,
            "only entries that exist come back"
        )
        invariant(
            queues[slot].entries[index].requeue?.deliveryCount ?? 0 < entry.deliveryCount,
            "delivery counts rise"
        )
        queues[slot].entries[index].requeue = entry
        appended()
    }

    package func requeued(_ queue: QueueID) -> [RequeuedEntry] {
        queues[slot(queue)].entries.compactMap { $0.isSettled ? nil : $0.requeue }
    }

    package func expiryRanges(_ queue: QueueID) -> [ExpiryRange] {
        var ranges: [ExpiryRange] = []
        let entries = Array(queues[slot(queue)].entries)
        // Small runs, so that tests have several.
        for start in stride(from: 0, to: entries.count, by: 8) {
            let run = entries[start..<min(start + 8, entries.count)]
            ranges.append(
                ExpiryRange(
                    first: run[start].sequence,
                    expires: run.compactMap { $0.message.expires == 0 ? nil : $0.message.expires }
                        .min() ?? .max,
                    time: run.map(\.time).min() ?? 0
                )
            )
        }
        return ranges
    }

    package func purge(_ queue: QueueID, below end: EntrySequence) {
        let slot = slot(queue)
        var index = 0
        while index < queues[slot].entries.count, queues[slot].entries[index].sequence < end {
            // Settling may take entries off the front, so the index moves only past those that stay.
            let before = queues[slot].entries.count
            if !queues[slot].entries[index].isSettled { markSettled(index, in: slot) }
            if queues[slot].entries.count == before { index += 1 } else { index = 0 }
        }
        appended()
    }

    package func beginBatch(bytes: Int) {
        invariant(!isInBatch, "batches do not nest")
        isInBatch = true
        batchCount += 1
    }

    package func endBatch() {
        invariant(isInBatch, "a batch ends once")
        isInBatch = false
    }

    private func add(
        _ message: Message,
        to queue: QueueID,
        at time: WallTime
    ) -> EntrySequence {
        invariant(
            message.byteCount <= limits.messageBytesMax + StoreLimits.deadLetterBytesMax,
            "the core checks sizes"
        )
        let slot = slot(queue)
        let sequence = queues[slot].next
        queues[slot].next = sequence.next
        queues[slot].entries.append(
            Entry(sequence: sequence, message: message, time: time.milliseconds)
        )
        queues[slot].messages += 1
        queues[slot].bytes += message.byteCount
        appended()
        return sequence
    }

    private func markSettled(_ index: Int, in slot: Int) {
        queues[slot].entries[index].isSettled = true
        queues[slot].messages -= 1
        queues[slot].bytes -= queues[slot].entries[index].message.byteCount
        while let first = queues[slot].entries.first, first.isSettled {
            queues[slot].entries.removeFirst()
        }
    }

    private func appended() {
        invariant(failure == nil, "nothing is appended to a store that has ended")
        appendCount += 1
        guard !behaviour.isDurableAtOnce else { return }
        isOpenGroupUsed = true
        if behaviour.isErratic, !isInBatch, generator.oneIn(4) { closeGroup() }
    }

    private func slot(_ queue: QueueID) -> Int {
        let slot = Int(queue.value)
        invariant(slot < queues.count && !queues[slot].isDeleted, "the queue exists")
        return slot
    }

    // MARK: Reading

    package func fetch(
        _ queue: QueueID,
        from sequence: EntrySequence,
        limit: FetchLimit,
        into messages: inout UniqueDeque<FetchedMessage>
    ) -> EntrySequence? {
        invariant(!openFetches.contains { $0.queue == queue }, "one fetch per queue is open")
        invariant(limit.messages > 0 && limit.bytes > 0, "a fetch asks for something")
        fetchCount += 1
        var open = OpenFetch(queue: queue, from: sequence, limit: limit)
        if behaviour.laterFetchOneIn > 0, generator.oneIn(behaviour.laterFetchOneIn) {
            // A disk may be read long before its answer arrives.
            if behaviour.isErratic, generator.oneIn(2) { open.run = read(open) }
            openFetches.append(open)
            return nil
        }
        let run = read(open)
        messages.append(copying: run.messages)
        return run.next
    }

    package func depth(_ queue: QueueID) -> QueueDepth {
        let stored = queues[slot(queue)]
        return QueueDepth(
            messages: stored.messages,
            bytes: stored.bytes,
            first: stored.entries.first?.sequence ?? stored.next,
            next: stored.next
        )
    }

    private func answer(_ fetch: OpenFetch) -> FetchedRun { fetch.run ?? read(fetch) }

    private func read(_ fetch: OpenFetch) -> FetchedRun {
        let stored = queues[slot(fetch.queue)]
        var wanted = fetch.limit.messages
        if behaviour.shortFetchOneIn > 0, generator.oneIn(behaviour.shortFetchOneIn) {
            wanted = Int.random(in: 1...wanted, using: &generator)
        }
        var found: [FetchedMessage] = []
        var bytes = 0
        var next = fetch.from
        for entry in stored.entries[stored.index(from: fetch.from)...] {
            if entry.isSettled || entry.isDamaged {
                next = entry.sequence.next
                continue
            }
            bytes += entry.message.byteCount
            guard found.count < wanted, found.isEmpty || bytes <= fetch.limit.bytes else {
                return FetchedRun(queue: fetch.queue, messages: found, next: next)
            }
            next = entry.sequence.next
            found.append(
                FetchedMessage(
                    sequence: entry.sequence,
                    deliveryCount: entry.requeue?.deliveryCount ?? 0,
                    isRejected: entry.requeue?.isRejected ?? false,
                    time: entry.time,
                    message: entry.message
                )
            )
        }
        return FetchedRun(queue: fetch.queue, messages: found, next: max(next, stored.next))
    }

    // MARK: Events

    /// What the store reports now: all that it could, or some of it if it is erratic.
    package func takeEvents() -> [StoreEvent] {
        var events = queuedEvents
        queuedEvents = []
        guard failure == nil else { return events }
        if !behaviour.isErratic {
            closeGroup()
            confirm(upTo: openGroup - 1, &events)
            for fetch in openFetches { events.append(.fetched(answer(fetch))) }
            openFetches = []
            return events
        }
        if generator.oneIn(2) { closeGroup() }
        if generator.oneIn(2), confirmed + 1 < openGroup {
            confirm(upTo: .random(in: confirmed + 1...openGroup - 1, using: &generator), &events)
        }
        while !openFetches.isEmpty, !generator.oneIn(3) {
            let index = Int.random(in: openFetches.indices, using: &generator)
            events.append(.fetched(answer(openFetches.remove(at: index))))
        }
        if generator.oneIn(16) {
            isUnderPressure.toggle()
            events.append(.pressure(isUnderPressure))
        }
        return events
    }

    /// Ends the group that takes appends; what follows is confirmed apart from it.
    package func closeGroup() {
        guard isOpenGroupUsed else { return }
        openGroup += 1
        isOpenGroupUsed = false
    }

    private func confirm(upTo group: UInt64, _ events: inout [StoreEvent]) {
        guard group > confirmed else { return }
        confirmed = group
        events.append(.durable(upTo: AppendID(group)))
    }

    /// Ends the store: it reports the failure and nothing else any more.
    package func fail(_ reason: String) {
        guard failure == nil else { return }
        failure = reason
        openFetches = []
        queuedEvents.append(.failed(reason))
    }

    /// Refuses sends for a reason, or takes them again.
    package func refuseSends(_ reason: String?) {
        queuedEvents.append(.sendsRefused(reason))
    }

    /// Makes an entry unreadable, as damage on the disk would.
    package func damage(_ queue: QueueID, _ sequence: EntrySequence) {
        let index = queues[slot(queue)].index(from: sequence)
        queues[slot(queue)].entries[index].isDamaged = true
    }

    /// The queues as a broker finds them that opens the store again.
    package func recoveredQueues() -> [RecoveredQueue] {
        queues.indices.filter { !queues[$0].isDeleted }.map { index in
            let id = QueueID(UInt32(index))
            return RecoveredQueue(id: id, name: queues[index].name, depth: depth(id))
        }
    }
}
