package import Base
package import DequeModule

/// The broker's core: destinations, subscriptions, credit, transactions.
///
/// A deterministic state machine: calls and the time go in, effects and store appends come out.
///
/// It knows no sockets, threads or protocol words and reads no clock. After a call, or after
/// several, the owner carries out `takeEffects()` in order.
///
/// Confinement: broker loop.
package final class Broker {
    let store: any MessageStore
    private(set) var settings: BrokerSettings
    let registry: DestinationRegistry
    let dispatcher: Dispatcher
    var sessions = SessionTable()
    /// Subscriptions by pattern, which also get destinations that are made later.
    var patternSubscriptions: [Subscription] = []
    let transactionAccount = TransactionAccount()
    /// Of `store.limits`, which is asked for with each message.
    let messageBytesMax: Int
    private var isReadingHeld = false
    private var nextSearch: MonotonicTime

    /// How often transactions that are too old are looked for, and destinations that nobody uses.
    private static let searchInterval = Interval.seconds(1)

    /// Starts a broker on an opened store.
    ///
    /// Declares the configured persistent queues that are new.
    package init(
        store: any MessageStore,
        settings: BrokerSettings,
        recovered: [RecoveredQueue],
        now: Instant
    ) throws(BrokerError) {
        self.store = store
        self.settings = settings
        messageBytesMax = store.limits.messageBytesMax
        nextSearch = now.monotonic
        registry = try DestinationRegistry(
            store: store,
            settings: settings,
            recovered: recovered,
            now: now
        )
        dispatcher = Dispatcher(
            store: store,
            registry: registry,
            fetchedBytesMax: settings.limits.fetchedBytes,
            now: now
        )
        _ = registry.takeCreated()
        for queue in registry.queues {
            dispatcher.setTimer(of: queue)
            if !queue.dying.isEmpty { dispatcher.deferServing(queue) }
        }
    }

    // MARK: Sessions

    /// Opens a session; fails with `.limitReached` past `limits.connections`.
    ///
    /// `identity`: who it is and what it may do, for as long as it lasts. `hasHeartBeats`: the caller
    /// ends it soon after the client has fallen silent.
    package func openSession(
        _ identity: Identity = .anybody,
        hasHeartBeats: Bool = false,
        now: Instant
    ) throws(BrokerError) -> SessionID {
        guard sessions.count < settings.limits.connections else {
            throw BrokerError(
                .limitReached,
                "too many connections: connections = \(settings.limits.connections)"
            )
        }
        let session = Session(
            id: sessions.nextID,
            identity: identity,
            hasHeartBeats: hasHeartBeats,
            sharedCreditMax: settings.prefetch,
            unwrittenBytesMax: settings.limits.unwrittenBytes
        )
        sessions.insert(session)
        return session.id
    }

    /// Ends a session: its deliveries return to their places, its transactions are forgotten, its
    /// subscriptions end.
    ///
    /// Safe to call once for any session that was opened.
    package func closeSession(_ session: SessionID, now: Instant) {
        guard let session = sessions.find(session) else { return }
        dispatcher.now = now
        sessions.remove(session)
        dispatcher.stats.transactionsUndone += session.transactions.count
        session.transactions.removeAll()
        let ended = session.removeAll()
        // All of them stop and give back before any queue looks for its next subscriber: two of them
        // may have had messages of one queue, and the older must go out first.
        for subscription in ended { subscription.isEnded = true }
        for subscription in ended { takeBack(subscription) }
        for subscription in ended { passOn(subscription) }
        forgetPatterns { $0.isEnded }
        for temporary in session.temporaries.values { registry.delete(temporary.id) }
        session.temporaries = [:]
    }

    /// Reports that deliveries were written to the socket: `bytes` is the sum of their messages'
    /// `footprint`, `through` the highest delivery number among them, if any had one.
    ///
    /// Settles `auto` deliveries and makes room for more.
    package func written(
        _ session: SessionID,
        bytes: Int,
        through: DeliveryNumber?,
        now: Instant
    ) {
        guard let session = sessions.find(session) else { return }
        dispatcher.now = now
        let tookDeliveries = session.takesDeliveries
        session.removeUnwritten(bytes)
        if let through, session.autoCount > 0 { settleWritten(session, through: through) }
        guard !tookDeliveries, session.takesDeliveries else { return }
        for feed in session.feeds { dispatcher.drainBacklog(of: feed) }
        dispatcher.serve(session)
    }

    // MARK: Destinations

    /// Looks a name up for a use by a session, creating it where the settings and the session's
    /// permissions allow.
    ///
    /// The id holds as long as `isAlive` says so. `session`: nil is the broker itself, which may
    /// everything.
    /// Errors name the destination and the setting: no permission; no such destination and creation
    /// not allowed; malformed name; a fan-out for subscribing; a wildcard.
    package func destination(
        _ name: String,
        for use: DestinationUse,
        of session: SessionID?,
        now: Instant
    ) throws(BrokerError) -> DestinationID {
        try requireStore()
        dispatcher.now = now
        let identity = try session.map { id throws(BrokerError) in try require(id).identity }
        let id = try registry.find(
            name,
            for: use,
            identity ?? .anybody,
            storeRefuses: dispatcher.sendsRefused,
            now: now
        )
        attachCreated()
        return id
    }

    /// The same without a String, for a sender with many destinations; nil where `destination` must be
    /// asked: what is not there yet, and users who may not use everything.
    package func knownDestination(_ name: RawSpan, of session: SessionID) -> DestinationID? {
        guard let session = sessions.find(session) else { return nil }
        return registry.find(sendName: name, session.identity)
    }

    /// False once a destination is gone: then its name is to be looked up again.
    @inline(__always)
    package func isAlive(_ destination: DestinationID) -> Bool { registry.isAlive(destination) }

    /// True if a destination of this name is there.
    package func exists(_ name: String) -> Bool { registry.exists(name) }

    /// The name of a destination, as clients write it (`/queue/a`).
    package func name(of destination: DestinationID) -> String {
        registry.name(of: destination)
    }

    // MARK: Changing

    /// Takes changed settings, or throws and keeps the old ones.
    ///
    /// Where a queue keeps its messages does not change: that takes a restart. The credit of a session is what it was when the session began.
    package func apply(_ changed: BrokerSettings, now: Instant) throws(BrokerError) {
        try requireStore()
        dispatcher.now = now
        // Before anything changes, for what is changed stays changed when something else is refused.
        dispatcher.letGoOfMessagesAtHand()
        try registry.apply(changed, now: now)
        settings = changed
        attachCreated()
        for queue in registry.queues { dispatcher.setTimer(of: queue) }
    }

    // MARK: Turns

    /// Takes in what the store reports.
    package func handle(_ event: StoreEvent, now: Instant) {
        dispatcher.now = now
        switch event {
        case .durable(let append): dispatcher.becameDurable(upTo: append)
        case .fetched(let run):
            guard let queue = registry.queue(run.queue) else { return }
            dispatcher.fetched(run, for: queue)
        case .pressure(let isHigh):
            guard isHigh != isReadingHeld else { return }
            isReadingHeld = isHigh
            dispatcher.effects.append(.holdReading(isHigh))
        case .sendsRefused(let reason): dispatcher.sendsRefused = reason
        case .failed(let reason): dispatcher.fail(reason)
        }
    }

    /// Does what time alone brings; call when `nextTick` has come, and about once a second.
    package func tick(now: Instant) {
        dispatcher.now = now
        dispatcher.runTimers()
        guard now.monotonic >= nextSearch else { return }
        nextSearch = now.monotonic.advanced(by: Self.searchInterval)
        sessions.forEach { session in
            for transaction in session.transactions where isTooOld(transaction, now: now) {
                expire(transaction, of: session)
            }
        }
        deleteUnused(now: now)
    }

    /// When `tick` has something to do that cannot wait for its next second; nil if nothing is known.
    package var nextTick: MonotonicTime? { dispatcher.timers.next }

    /// How many subscribers of topics had to be looked after in this turn.
    ///
    /// One small message can mean thousands of deliveries: past some number of them the owner should
    /// let others have their turn.
    package var topicWorkCount: Int { dispatcher.workCount }

    /// Has `topicWorkCount` begin anew.
    package func turnEnded() { dispatcher.workCount = 0 }

    /// Hands over the effects since the last call, in order.
    ///
    /// In exchange for `effects`, which must be empty, so that its memory serves again. A deque, for what
    /// is taken from its front is moved: each of a delivery's buffers would be counted up and down for a
    /// copy.
    package func takeEffects(into effects: inout UniqueDeque<Effect>) {
        dispatcher.serveDeferred()
        attachCreated()
        invariant(effects.isEmpty, "effects are carried out before the next ones are taken")
        swap(&effects, &dispatcher.effects)
    }

    // MARK: Looking in

    /// Counters of everything that is counted, since the start.
    package var stats: BrokerStats { dispatcher.stats }

    /// What the messages in all open transactions take in memory, in bytes.
    package var openTransactionBytes: Int { transactionAccount.bytes }

    /// All queues as they are now, in the order of their creation.
    ///
    /// O(queues).
    package func queueSnapshots() -> [QueueSnapshot] {
        registry.queues.map { queue in
            let depth = queue.depth(in: store)
            return QueueSnapshot(
                id: queue.id,
                name: queue.name,
                messages: depth.messages,
                bytes: depth.bytes,
                inFlight: queue.inFlightCount,
                subscribers: queue.subscriberCount
            )
        }
    }

    /// Refuses what can no longer be kept or confirmed once the store has ended.
    func requireStore() throws(BrokerError) {
        guard let reason = dispatcher.failure else { return }
        throw BrokerError(.refused, "the store has ended: \(reason)")
    }

    /// Finds a session, or says that it has ended.
    func require(_ id: SessionID) throws(BrokerError) -> Session {
        guard let session = sessions.find(id) else {
            throw BrokerError(.refused, "the session has ended")
        }
        return session
    }
}
