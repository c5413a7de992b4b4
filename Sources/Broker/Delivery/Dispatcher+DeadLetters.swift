import Base
import DequeModule
import NIOCore

/// What becomes of messages that nobody is to get any more.
extension Dispatcher {
    /// How long an entry waits whose dead-letter queue takes nothing.
    private static let refusedDelay = Interval.seconds(10)

    /// Ends an entry that was taken out of its queue: its message goes to the dead-letter queue in one
    /// atomic step, or is dropped where there is none.
    ///
    /// If the dead-letter queue takes nothing now, the entry waits in its own queue.
    func bury(_ item: FetchedMessage, of queue: Queue, _ reason: DeathReason) {
        let isDropped =
            queue.policy.deadLetter.isEmpty || queue.policy.deadLetter == queue.name
            || (reason == .expired && !queue.policy.deadLettersExpired)
        if isDropped {
            if reason == .expired { stats.expired += 1 } else { stats.deadLettersDropped += 1 }
            settle(item, of: queue, reason == .expired ? .expired : .dropped)
            return
        }
        let letter = item.message.deadLetter(
            from: queue.name,
            reason,
            deliveries: item.deliveryCount,
            at: now.wall
        )
        guard let target = openDeadLetterQueue(of: queue, bytes: letter.byteCount) else {
            setAside(item, of: queue)
            return
        }
        if reason == .expired { stats.expired += 1 }
        stats.deadLetters += 1
        move(letter, to: target, insteadOf: item, of: queue)
    }

    /// Whether expired messages of a queue are to become dead letters, which nobody takes now.
    func refusesExpired(of queue: Queue) -> Bool {
        guard queue.policy.deadLettersExpired, !queue.policy.deadLetter.isEmpty,
            queue.policy.deadLetter != queue.name
        else { return false }
        // That there is room for nothing says little: only what was taken ends the waiting.
        guard let reason = lettersRefusal(deadLetterQueue(of: queue), bytes: 0, of: queue) else {
            return false
        }
        noteLettersRefused(queue, reason)
        return true
    }

    /// The dead-letter queue if it takes a message of this size now.
    private func openDeadLetterQueue(of queue: Queue, bytes: Int) -> Queue? {
        let target = deadLetterQueue(of: queue)
        if let reason = lettersRefusal(target, bytes: bytes, of: queue) {
            noteLettersRefused(queue, reason)
            return nil
        }
        if let last = queue.lettersRefusedAt,
            now.monotonic >= last.advanced(by: Self.refusedDelay)
        {
            queue.lettersRefusedAt = nil
            effects.append(.deadLettersHeld(queue: queue.name, reason: nil))
        }
        return target
    }

    private func lettersRefusal(_ target: Queue?, bytes: Int, of queue: Queue) -> String? {
        guard let target else {
            return "\(queue.policy.deadLetter) is no queue and cannot be made one"
        }
        return refusal(bytes, of: target)?.text
    }

    /// Tells the operator that dead letters wait, once until they have gone on for a while: a full
    /// queue takes one whenever somebody takes one out.
    private func noteLettersRefused(_ queue: Queue, _ reason: String) {
        if queue.lettersRefusedAt == nil {
            effects.append(.deadLettersHeld(queue: queue.name, reason: reason))
        }
        queue.lettersRefusedAt = now.monotonic
    }

    private func settle(_ item: FetchedMessage, of queue: Queue, _ reason: SettleReason) {
        guard queue.isPersistent else { return }
        store.settle(queue.id, item.sequence, bytes: item.message.byteCount, reason: reason)
    }

    private func move(
        _ letter: Message,
        to target: Queue,
        insteadOf item: FetchedMessage,
        of queue: Queue
    ) {
        deferServing(target)
        guard target.isPersistent else {
            settle(item, of: queue, .deadLettered)
            enqueueInMemory(letter, to: target)
            return
        }
        if queue.isPersistent { store.beginBatch(bytes: letter.byteCount) }
        let sequence = store.enqueue(letter, to: target.id, at: now.wall)
        settle(item, of: queue, .deadLettered)
        if queue.isPersistent { store.endBatch() }
        appended(sequence, of: letter, to: target, coveredBy: store.lastAppend)
    }

    /// The queue that dead letters go to; it is made when it is needed first.
    private func deadLetterQueue(of queue: Queue) -> Queue? {
        registry.deadLetterQueue(queue.policy.deadLetter, storeRefuses: sendsRefused, now: now)
    }

    private func setAside(_ item: FetchedMessage, of queue: Queue) {
        let due = now.monotonic.advanced(by: Self.refusedDelay)
        queue.delayed.insert(
            DelayedEntries.Entry(
                sequence: item.sequence,
                deliveryCount: item.deliveryCount,
                isRejected: item.isRejected,
                due: due,
                item: queue.isPersistent ? nil : item
            )
        )
        setTimer(of: queue, at: due)
    }

    // MARK: Dying

    /// Buries what was set aside to die; a persistent queue's messages are read first.
    func buryDying(_ queue: Queue) {
        guard failure == nil else { return }
        guard queue.isPersistent else {
            while let entry = queue.dying.popFirst() {
                if let item = entry.item { bury(item, of: queue, entry.reason) }
            }
            return
        }
        while let first = queue.dying.first, queue.fetch == .none {
            queue.fetch = .dying(first.sequence)
            let limit = FetchLimit(
                messages: queue.dyingRun(),
                bytes: Queue.fetchBytesMax
            )
            var run = UniqueDeque<FetchedMessage>()
            guard
                let next = store.fetch(queue.id, from: first.sequence, limit: limit, into: &run)
            else { return }
            queue.fetch = .none
            buryDying(&run, from: first.sequence, next: next, of: queue)
            guard next > first.sequence else { return }
        }
    }

    func buryDying(
        _ run: inout UniqueDeque<FetchedMessage>,
        from: EntrySequence,
        next: EntrySequence,
        of queue: Queue
    ) {
        for (entry, item) in queue.takeDying(&run, from: from, next: next) {
            guard let item else {
                stats.unreadableEntries += 1
                continue
            }
            // The store may have read the entry before it heard of its last return.
            let fresh = FetchedMessage(
                sequence: item.sequence,
                deliveryCount: entry.deliveryCount,
                isRejected: entry.reason == .rejected,
                time: item.time,
                message: item.message
            )
            bury(fresh, of: queue, entry.reason)
        }
    }
}

extension InFlight {
    /// The message of a memory queue with what is known of its entry after this delivery.
    var item: FetchedMessage? {
        kept.map {
            FetchedMessage(
                sequence: sequence,
                deliveryCount: redeliveries + 1,
                time: time,
                message: $0.message
            )
        }
    }

    func dying(_ reason: DeathReason) -> Queue.Dying {
        Queue.Dying(
            sequence: sequence,
            deliveryCount: redeliveries + 1,
            reason: reason,
            item: item
        )
    }

    func delayed(until due: MonotonicTime) -> DelayedEntries.Entry {
        DelayedEntries.Entry(
            sequence: sequence,
            deliveryCount: redeliveries + 1,
            isRejected: false,
            due: due,
            item: item
        )
    }
}
