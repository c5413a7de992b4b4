package import Base

extension Broker {
    /// Opens a transaction under a name that is free in this session.
    package func begin(
        _ session: SessionID,
        _ transaction: String,
        now: Instant
    ) throws(BrokerError) {
        let session = try require(session)
        guard session.transaction(transaction) == nil else {
            throw BrokerError(.badTransaction, "transaction \(transaction) is open already")
        }
        let limit = settings.limits.transactionsPerConnection
        guard session.transactions.count < limit else {
            throw BrokerError(
                .limitReached,
                "transaction \(transaction): transactions_per_connection = \(limit)"
            )
        }
        session.transactions.append(
            Transaction(name: transaction, began: now.monotonic, account: transactionAccount)
        )
    }

    /// Carries out all that the transaction holds as one atomic durable batch, or none of it.
    ///
    /// Afterwards the transaction is over either way; if it was refused, what it would have
    /// acknowledged stays in flight.
    package func commit(
        _ session: SessionID,
        _ transaction: String,
        now: Instant
    ) throws(BrokerError) -> Completion {
        dispatcher.now = now
        let session = try require(session)
        let transaction = try require(transaction, of: session)
        do throws(BrokerError) {
            try requireStore()
            guard !isTooOld(transaction, now: now) else { throw tooOld(transaction) }
            try check(transaction)
        } catch {
            session.drop(transaction)
            dispatcher.stats.transactionsUndone += 1
            dispatcher.stats.sendsRefused += transaction.sends.count
            throw error
        }
        session.transactions.removeAll { $0 === transaction }
        dispatcher.stats.transactionsCommitted += 1
        return carryOut(transaction, of: session, now: now)
    }

    /// Forgets a transaction; what it would have acknowledged stays in flight.
    package func abort(
        _ session: SessionID,
        _ transaction: String,
        now: Instant
    ) throws(BrokerError) {
        let session = try require(session)
        session.drop(try require(transaction, of: session))
        dispatcher.stats.transactionsUndone += 1
    }

    // MARK: Parts

    func require(_ name: String, of session: Session) throws(BrokerError) -> Transaction {
        guard let transaction = session.transaction(name) else {
            throw BrokerError(.badTransaction, "transaction \(name) is not open")
        }
        return transaction
    }

    /// Claims what an acknowledgement of one row reaches.
    func claim(
        _ subscription: Subscription,
        _ index: Int,
        _ answer: Answer,
        for transaction: Transaction
    ) throws(BrokerError) {
        let isCumulative = subscription.mode == .cumulative
        let last = subscription.inFlight.number(at: index)
        let reached = isCumulative ? subscription.inFlight.unclaimed(through: index) : [last]
        try transaction.claim(
            reached,
            of: subscription,
            answer,
            limits: settings.limits
        )
        if isCumulative { subscription.inFlight.allClaimed(through: last) }
    }

    func isTooOld(_ transaction: Transaction, now: Instant) -> Bool {
        now.monotonic.since(transaction.began) > settings.limits.transactionAge
    }

    /// Ends a session whose transaction was open for too long.
    func expire(_ transaction: Transaction, of session: Session) {
        session.drop(transaction)
        dispatcher.stats.transactionsUndone += 1
        dispatcher.fail(session, tooOld(transaction))
    }

    private func tooOld(_ transaction: Transaction) -> BrokerError {
        BrokerError(
            .limitReached,
            "transaction \(transaction.name) was open for too long: transaction_age = "
                + "\(settings.limits.transactionAge.milliseconds) ms"
        )
    }

    // MARK: Commit

    /// Throws if any part of the transaction cannot be carried out.
    private func check(_ transaction: Transaction) throws(BrokerError) {
        var reserved: [Queue] = []
        defer {
            for queue in reserved {
                queue.reservedMessages = 0
                queue.reservedBytes = 0
            }
        }
        for claim in transaction.claims where claim.answer == .settle {
            guard let row = claim.subscription.inFlight.held(claim.number),
                let queue = claim.subscription.queue(of: row.queue), queue.isBounded
            else { continue }
            queue.reservedMessages -= 1
            queue.reservedBytes -= row.bytes
            reserved.append(queue)
        }
        var batchBytes = 0
        for send in transaction.sends {
            let bytes = send.message.byteCount
            let queues: [Queue]
            switch registry[send.destination] {
            case .queue(let queue): queues = [queue]
            case .fanout(let fanout): queues = fanout.children
            case .topic: queues = []
            case nil:
                throw BrokerError(
                    .badDestination,
                    "transaction \(transaction.name): destination "
                        + "\(registry.name(of: send.destination)) does not exist any more"
                )
            }
            for queue in queues {
                try admit(bytes, to: queue)
                queue.reservedMessages += 1
                queue.reservedBytes += bytes
                reserved.append(queue)
            }
            if queues.contains(where: \.isPersistent) { batchBytes += bytes }
        }
        guard batchBytes <= store.limits.batchBytesMax else {
            throw BrokerError(
                .limitReached,
                "transaction \(transaction.name) has \(batchBytes) bytes for persistent queues: "
                    + "the store's atomic batch takes \(store.limits.batchBytesMax)"
            )
        }
    }

    /// Does what was checked: nothing here can be refused.
    private func carryOut(
        _ transaction: Transaction,
        of session: Session,
        now: Instant
    ) -> Completion {
        var touched: [Queue] = []
        var entries: [Made] = []
        let usesStore = isPersistent(transaction)
        if usesStore { store.beginBatch(bytes: transaction.bytes) }
        for claim in transaction.claims {
            guard let row = claim.subscription.inFlight.takeHeld(claim.number) else {
                // Unsubscribed meanwhile: the message is somebody else's by now.
                dispatcher.stats.lateAcknowledgements += 1
                continue
            }
            if claim.answer == .settle {
                dispatcher.settle(row, of: claim.subscription)
            } else {
                touched += dispatcher.giveBack(
                    [row],
                    of: claim.subscription,
                    isRejected: claim.answer == .reject
                )
            }
        }
        for send in transaction.sends {
            enqueue(send, entries: &entries, touched: &touched, now: now)
        }
        if usesStore { store.endBatch() }
        for made in entries { _ = enqueued(made.entries, made.message) }
        for queue in touched { dispatcher.serve(queue) }
        if !transaction.claims.isEmpty { dispatcher.serve(session) }
        return usesStore ? dispatcher.completion : .done
    }

    private func enqueue(
        _ send: Transaction.Send,
        entries: inout [Made],
        touched: inout [Queue],
        now: Instant
    ) {
        dispatcher.stats.sends += 1
        switch registry[send.destination] {
        case .queue(let queue) where queue.isPersistent:
            let sequence = store.enqueue(send.message, to: queue.id, at: now.wall)
            entries.append(Made(message: send.message, entries: [(queue, sequence)]))
        case .queue(let queue):
            dispatcher.enqueueInMemory(send.message, to: queue)
            touched.append(queue)
        case .fanout(let fanout):
            entries.append(
                Made(
                    message: send.message,
                    entries: enqueue(send.message, to: fanout, now: now)
                )
            )
            touched += fanout.memoryChildren
        case .topic(let topic): dispatcher.publish(send.message, to: topic)
        case nil: break
        }
    }

    /// A message of a transaction with the entries that the store made of it.
    private struct Made {
        let message: Message
        let entries: [(queue: Queue, sequence: EntrySequence)]
    }

    /// True if the transaction touches anything that the store keeps.
    private func isPersistent(_ transaction: Transaction) -> Bool {
        transaction.claims.contains { claim in
            claim.subscription.feeds.contains { $0.queue?.isPersistent == true }
        }
            || transaction.sends.contains { send in
                switch registry[send.destination] {
                case .queue(let queue): queue.isPersistent
                case .fanout(let fanout): !fanout.persistentIDs.isEmpty
                case .topic, nil: false
                }
            }
    }
}
