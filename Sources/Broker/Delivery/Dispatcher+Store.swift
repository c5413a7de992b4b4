import Base
import DequeModule

/// What the core asks of the store, and what comes back.
extension Dispatcher {
    /// Makes the front of the queue ready if that is possible at once.
    ///
    /// What must not be delivered any more goes its way instead.
    func bringFront(of queue: Queue) -> Bool {
        guard failure == nil else { return false }
        while true {
            while queue.frontIsReady {
                guard let reason = queue.deathOfFront(at: now.wall) else {
                    // What came at once may have pushed the front out.
                    if queue.isCold, readAhead(queue) { continue }
                    return true
                }
                let item = queue.takeFront()
                if queue.isPersistent { fetchedBytes -= item.message.byteCount }
                bury(item, of: queue, reason)
            }
            guard queue.isPersistent, let (from, limit) = queue.wantedFetch(bytesMax: fetchBytes)
            else { return false }
            guard let next = fetch(from: from, limit, for: queue) else { return false }
            // A run that goes nowhere would be asked for again for ever.
            guard queue.frontIsReady || next > from else { return false }
        }
    }

    /// Begins the next read from the disk while there is something left to deliver; true if that was in
    /// memory, and so the queue is not cold any more.
    private func readAhead(_ queue: Queue) -> Bool {
        guard fetchedBytes < fetchedBytesMax, let (from, limit) = queue.wantedReadAhead() else {
            return false
        }
        return fetch(from: from, limit, for: queue) != nil
    }

    /// Takes in what the store has in memory, and returns where that ends; nil if it has to read first.
    private func fetch(
        from: EntrySequence,
        _ limit: FetchLimit,
        for queue: Queue
    ) -> EntrySequence? {
        queue.fetchOpened(from: from)
        let before = queue.readyBytes
        let next =
            max(limit.messages, queue.fetchMessages) <= Queue.smallRunMax
            ? fetch(from, limit, for: queue, by: &smallRun)
            : fetch(from, limit, for: queue, by: &largeRun)
        if next != nil { took(queue, before) }
        return next
    }

    @inline(__always)
    private func fetch(
        _ from: EntrySequence,
        _ limit: FetchLimit,
        for queue: Queue,
        by run: inout UniqueDeque<FetchedMessage>
    ) -> EntrySequence? {
        guard let next = store.fetch(queue.id, from: from, limit: limit, into: &run) else {
            return nil
        }
        queue.isCold = false
        stats.unreadableEntries += queue.fetched(&run, next: next)
        if !run.isEmpty { run.removeAll() }
        return next
    }

    private var fetchBytes: Int {
        // One message comes even past the limit, so that every queue can go on.
        fetchedBytes < fetchedBytesMax ? Queue.fetchBytesMax : 1
    }

    private func take(
        _ messages: inout UniqueDeque<FetchedMessage>,
        next: EntrySequence,
        for queue: Queue
    ) {
        let before = queue.readyBytes
        stats.unreadableEntries += queue.fetched(&messages, next: next)
        took(queue, before)
    }

    /// Accounts for what a queue that had `bytes` ready took in.
    private func took(_ queue: Queue, _ bytes: Int) {
        fetchedBytes += queue.readyBytes - bytes
        if queue.dropsOldest { trim(queue) }
    }

    /// Takes in the run of a fetch that was open.
    func fetched(_ run: FetchedRun, for queue: Queue) {
        guard failure == nil else { return }
        var messages = UniqueDeque(copying: run.messages)
        switch queue.fetch {
        case .dying(let from):
            queue.fetch = .none
            buryDying(&messages, from: from, next: run.next, of: queue)
        case .sweep(let from, let end, let cursor):
            queue.fetch = .none
            takeSwept(&messages, next: run.next, from: from, end: end, cursor: cursor, of: queue)
            setTimer(of: queue)
        case .forward:
            queue.isCold = true
            take(&messages, next: run.next, for: queue)
        case .none, .returned, .discarded:
            take(&messages, next: run.next, for: queue)
        }
        buryDying(queue)
        serve(queue)
    }

    /// Notes an entry that the store took.
    func appended(
        _ sequence: EntrySequence,
        to queue: Queue,
        due: UInt64,
        coveredBy append: AppendID
    ) {
        noteDue(due, of: sequence, in: queue)
        guard queue.appended(sequence, coveredBy: append) else { return }
        awaited.append(AwaitedEntries(append: append, queue: queue))
    }

    /// Notes an entry that the store took, the only one of a message, which is kept at hand if somebody waits
    /// for it.
    @inline(__always)
    func appended(
        _ sequence: EntrySequence,
        to queue: Queue,
        coveredBy append: AppendID,
        _ message: Message
    ) {
        let time = now.wall.milliseconds
        noteDue(queue.due(expires: message.expires, time: time), of: sequence, in: queue)
        if queue.appended(sequence, coveredBy: append) {
            awaited.append(AwaitedEntries(append: append, queue: queue))
        }
        let last = awaited.count - 1
        // From a queue that drops messages this one may be gone when its turn comes. From others nothing goes
        // that is not durable.
        guard last >= 0, awaited[last].queue === queue, !queue.dropsOldest,
            awaited[last].atHandCount < queue.atHandMax, !queue.waiting.isEmpty
        else { return }
        if messagesAtHand.keep(message, sequence, at: time) { awaited[last].atHandCount += 1 }
    }

    func becameDurable(upTo append: AppendID) {
        guard failure == nil else { return }
        while !awaited.isEmpty, awaited[0].append <= append {
            let entries = awaited.removeFirst()
            let queue = entries.queue
            queue.becameDurable(upTo: append)
            guard entries.atHandCount > 0 else {
                serve(queue)
                continue
            }
            let taken = takeAtHand(entries.atHandCount, for: queue)
            serve(queue)
            if let taken, !queue.ready.isEmpty, queue.ready[0].sequence <= taken.last {
                // Not all found a taker, and their memory is wanted: the log has them.
                queue.keptAtHand(entries.atHandCount, delivered: taken.count - queue.ready.count)
                fetchedBytes -= queue.letGoOfReady()
            } else {
                queue.keptAtHand(entries.atHandCount, delivered: taken?.count ?? 0)
            }
        }
    }

    /// Saves the store some fetches, if the messages at hand are the queue's next ones and somebody still
    /// waits for them; returns how many they were.
    @inline(__always)
    private func takeAtHand(_ count: Int, for queue: Queue) -> (count: Int, last: EntrySequence)? {
        let isWaitedFor = queue.canTakeNext && queue.waiting.first() != nil
        var taken: (count: Int, last: EntrySequence)?
        for _ in 0..<count {
            let item = messagesAtHand.next()
            guard isWaitedFor, item.sequence == queue.cursor else { continue }
            taken = ((taken?.count ?? 0) + 1, item.sequence)
            fetchedBytes += item.message.byteCount
            queue.take(consume item, by: &smallRun)
        }
        return taken
    }

    /// Leaves all that is at hand to the log.
    ///
    /// To be called before a queue begins to drop messages, for one that it drops must not be delivered.
    func letGoOfMessagesAtHand() {
        messagesAtHand.removeAll()
        for index in 0..<awaited.count { awaited[index].atHandCount = 0 }
    }
}

/// Entries of a queue that become durable together.
struct AwaitedEntries {
    let append: AppendID
    let queue: Queue
    /// Messages of them that are at hand.
    var atHandCount = 0
}
