package import Base

extension Broker {
    /// Sends one message, or adds it to an open transaction.
    ///
    /// The completion says when its receipt may be given. Throws when it is refused (full queue, disk
    /// low, too large, unknown transaction); then nothing of it remains.
    package func send(
        _ session: SessionID,
        to destination: DestinationID,
        _ message: Message,
        transaction: String? = nil,
        now: Instant
    ) throws(BrokerError) -> Completion {
        dispatcher.now = now
        do throws(BrokerError) {
            try requireStore()
            if let transaction {
                let open = try require(transaction, of: require(session))
                try checkSize(message, for: destination)
                try open.add(message, to: destination, limits: settings.limits)
                return .done
            }
            guard sessions.find(session) != nil else {
                throw BrokerError(.refused, "the session has ended")
            }
            try checkSize(message, for: destination)
            return try sendNow(message, to: destination, now: now)
        } catch {
            dispatcher.stats.sendsRefused += 1
            throw error
        }
    }

    private func sendNow(
        _ message: Message,
        to destination: DestinationID,
        now: Instant
    ) throws(BrokerError) -> Completion {
        switch registry[destination] {
        case .queue(let queue):
            try admit(message.byteCount, to: queue)
            dispatcher.stats.sends += 1
            guard queue.isPersistent else {
                dispatcher.enqueueInMemory(message, to: queue)
                dispatcher.serve(queue)
                return .done
            }
            let sequence = store.enqueue(message, to: queue.id, at: now.wall)
            let append = store.lastAppend
            dispatcher.appended(sequence, to: queue, coveredBy: append, message)
            return enqueued(queue, append)
        case .fanout(let fanout):
            for child in fanout.children { try admit(message.byteCount, to: child) }
            dispatcher.stats.sends += 1
            let entries = enqueue(message, to: fanout, now: now)
            for child in fanout.memoryChildren { dispatcher.serve(child) }
            return enqueued(entries, message)
        case .topic(let topic):
            dispatcher.stats.sends += 1
            if message.isExpired(at: now.wall) {
                dispatcher.stats.expired += 1
            } else {
                dispatcher.publish(message, to: topic)
            }
            return .done
        case nil: throw gone(destination)
        }
    }

    private func gone(_ destination: DestinationID) -> BrokerError {
        BrokerError(
            .badDestination,
            "destination \(registry.name(of: destination)) does not exist any more"
        )
    }

    // MARK: Checks

    /// Refuses a message that is larger than the store takes, wherever it goes: a queue's storage is
    /// a setting, and must not change what can be sent to it.
    func checkSize(_ message: Message, for destination: DestinationID) throws(BrokerError) {
        guard message.byteCount > messageBytesMax else { return }
        throw BrokerError(
            .limitReached,
            "message for \(registry.name(of: destination)) has \(message.byteCount) bytes: "
                + "the store takes \(messageBytesMax)"
        )
    }

    /// Says whether a queue can take one more message of this size.
    func admit(_ bytes: Int, to queue: Queue) throws(BrokerError) {
        if let refusal = dispatcher.refusal(bytes, of: queue) { throw refusal }
    }

    // MARK: Enqueueing

    /// Puts one message into each child of a fan-out; returns the entries that the store made.
    func enqueue(
        _ message: Message,
        to fanout: Fanout,
        now: Instant
    ) -> [(queue: Queue, sequence: EntrySequence)] {
        for child in fanout.memoryChildren { dispatcher.enqueueInMemory(message, to: child) }
        guard !fanout.persistentIDs.isEmpty else { return [] }
        let sequences = store.enqueue(message, toAll: fanout.persistentIDs, at: now.wall)
        invariant(
            sequences.count == fanout.persistentIDs.count,
            "the store makes an entry per child"
        )
        return Array(zip(fanout.persistentChildren, sequences))
    }

    /// Takes note of entries that the store made of one message, and serves those that are durable
    /// already.
    func enqueued(
        _ entries: [(queue: Queue, sequence: EntrySequence)],
        _ message: Message
    ) -> Completion {
        guard !entries.isEmpty else { return .done }
        let append = store.lastAppend
        for (queue, sequence) in entries {
            dispatcher.appended(sequence, of: message, to: queue, coveredBy: append)
        }
        for (queue, _) in entries { _ = enqueued(queue, append) }
        return append == .none ? .done : .whenDurable(append)
    }

    private func enqueued(_ queue: Queue, _ append: AppendID) -> Completion {
        if queue.dropsOldest { dispatcher.trim(queue) }
        guard append == .none else { return .whenDurable(append) }
        dispatcher.serve(queue)
        return .done
    }
}
