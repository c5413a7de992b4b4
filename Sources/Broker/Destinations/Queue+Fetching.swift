import Base
import DequeModule

extension Queue {
    /// What to ask the store for so that the front becomes ready; nil if there is nothing, or if it
    /// is on its way.
    func wantedFetch(bytesMax: Int) -> (from: EntrySequence, limit: FetchLimit)? {
        guard fetch == .none else { return nil }
        if let first = returned.first, ready.isEmpty || first.sequence < ready[0].sequence {
            return (first.sequence, FetchLimit(messages: returnedRun(), bytes: bytesMax))
        }
        guard ready.isEmpty, cursor < appendedEnd, cursor < durableEnd else { return nil }
        // No more than there is, for the store has a quicker way for one alone.
        let count = min(UInt64(fetchMessages), appendedEnd.value - cursor.value)
        return (cursor, FetchLimit(messages: Int(count), bytes: bytesMax))
    }

    /// What to ask for before the front has run out; nil if there is enough at hand, or nothing more.
    func wantedReadAhead() -> (from: EntrySequence, limit: FetchLimit)? {
        guard fetch == .none, returned.isEmpty, cursor < durableEnd,
            ready.count <= fetchMessages / 2, readyBytes <= Self.fetchBytesMax / 2
        else { return nil }
        return (cursor, FetchLimit(messages: fetchMessages, bytes: Self.fetchBytesMax))
    }

    /// Says which kind of fetch `wantedFetch` stands for; call when it opens.
    func fetchOpened(from sequence: EntrySequence) {
        invariant(fetch == .none, "one fetch per queue at a time")
        if let first = returned.first, first.sequence == sequence {
            fetch = .returned(sequence)
        } else {
            fetch = .forward
        }
    }

    /// Takes in what the open fetch brought, up to `next`; messages that it does not take stay where they are.
    ///
    /// Returns how many returned entries turned out to be unreadable.
    func fetched(_ messages: inout UniqueDeque<FetchedMessage>, next: EntrySequence) -> Int {
        let kind = fetch
        fetch = .none
        defer { if ready.count > Self.smallRunMax { hadLargeReady = true } }
        switch kind {
        case .none, .discarded, .dying, .sweep: return 0
        case .forward:
            takeForward(&messages, next)
            return 0
        case .returned(let from): return takeReturned(&messages, from: from, next)
        }
    }

    /// True if the entry at the cursor is the next to deliver.
    @inline(__always)
    var canTakeNext: Bool { fetch == .none && ready.isEmpty && returned.isEmpty }

    /// Takes in the message of the entry at the cursor, which need not be fetched; `run` gives the memory for it.
    @inline(__always)
    func take(_ item: consuming FetchedMessage, by run: inout UniqueDeque<FetchedMessage>) {
        if ready.capacity == 0 { swap(&ready, &run) }
        isCold = false
        noteForward(item.sequence, bytes: item.message.byteCount)
        ready.append(item)
        if ready.count > Self.smallRunMax { hadLargeReady = true }
    }

    /// Has as many messages kept at hand as found a taker, or twice as many as before if all did.
    @inline(__always)
    func keptAtHand(_ count: Int, delivered: Int) {
        if delivered < count {
            atHandMax = max(1, delivered)
        } else if count == atHandMax {
            atHandMax = min(2 * atHandMax, Self.fetchMessagesMax)
        }
    }

    /// Lets go of all that is ready, to fetch it when it is wanted; returns the bytes let go.
    func letGoOfReady() -> Int {
        invariant(isPersistent, "only a store has them, too")
        let bytes = readyBytes
        cursor = min(cursor, ready[0].sequence)
        ready = UniqueDeque()
        hadLargeReady = false
        readyBytes = 0
        return bytes
    }

    private func takeForward(
        _ messages: inout UniqueDeque<FetchedMessage>,
        _ next: EntrySequence
    ) {
        let count = messages.count
        if count > 0, ready.isEmpty, delayed.isEmpty, dying.isEmpty {
            // All of it is wanted: moved as it is.
            swap(&ready, &messages)
            for index in ready.indices {
                noteForward(ready[index].sequence, bytes: ready[index].message.byteCount)
            }
        } else {
            while let message = messages.popFirst() {
                noteForward(message.sequence, bytes: 0)
                if isSetAside(message.sequence) { continue }
                readyBytes += message.message.byteCount
                ready.append(message)
            }
        }
        if next > cursor { cursor = next }
        if count >= fetchMessages {
            fetchMessages = min(fetchMessages * 2, Self.fetchMessagesMax)
        }
    }

    @inline(__always)
    private func noteForward(_ sequence: EntrySequence, bytes: Int) {
        invariant(sequence >= cursor, "a fetch brings nothing from before its start")
        cursor = sequence.next
        readyBytes += bytes
    }

    /// Moves the returned entries that the run brought to the front of `ready`.
    ///
    /// The run may also hold entries that are in flight, and others may have come back since it was
    /// asked for: those below `from` were not looked at, and stay.
    private func takeReturned(
        _ messages: inout UniqueDeque<FetchedMessage>,
        from: EntrySequence,
        _ next: EntrySequence
    ) -> Int {
        var untouched: [Returned] = []
        while let first = returned.first, first.sequence < from {
            untouched.append(first)
            returned.removeFirst()
        }
        var found: [FetchedMessage] = []
        var unreadable = 0
        while let first = returned.first, first.sequence < next {
            while !messages.isEmpty, messages[0].sequence < first.sequence {
                messages.removeFirst()
            }
            returned.removeFirst()
            guard !messages.isEmpty, messages[0].sequence == first.sequence else {
                unreadable += 1
                continue
            }
            let message = messages.removeFirst()
            // The store may have read the entry before it heard of its last return.
            let fresh = FetchedMessage(
                sequence: message.sequence,
                deliveryCount: first.deliveryCount,
                isRejected: message.isRejected,
                time: message.time,
                message: message.message
            )
            readyBytes += fresh.message.byteCount
            found.append(fresh)
        }
        ready.mergeFront(found) { $0.sequence < $1.sequence }
        returned.prepend(copying: untouched)
        return unreadable
    }

    /// Whether an entry waits for something else than a subscriber.
    private func isSetAside(_ sequence: EntrySequence) -> Bool {
        delayed.contains(sequence) || isDying(sequence)
    }

    /// Entries at the front of `returned` that follow each other without a gap, at most a window.
    private func returnedRun() -> Int {
        var count = 1
        while count < min(returned.count, Self.fetchMessagesMax),
            returned[count].sequence == returned[count - 1].sequence.next
        {
            count += 1
        }
        return count
    }
}
