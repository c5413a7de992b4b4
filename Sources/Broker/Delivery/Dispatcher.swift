import Base
import DequeModule

// Who gets which message next. Two rules (broker.md, "Flow control"):
//
// - Among a queue's free subscribers, the one that has waited longest: `serve(queue)`, when
//   messages became ready.
// - Of a session's subscriptions, the next one that has a message, after the one served last:
//   `serve(session)`, when the session regained credit or room.
//
// Invariant between calls: a queue whose next message is at hand has no free subscriber, and every
// free subscriber of a queue stands in its waiting line. So credit that comes back need only look
// at its own session, and a message that comes only at its own queue.

/// Moves messages from queues to subscriptions, and keeps the accounts of what is in flight.
///
/// Confinement: broker loop.
final class Dispatcher {
    let store: any MessageStore
    let registry: DestinationRegistry
    /// When the call began that is carried out.
    var now: Instant
    var effects = UniqueDeque<Effect>()
    var stats = BrokerStats()
    /// Subscribers of topics looked after in this turn.
    var workCount = 0
    /// Why the store ended; from then on nothing is delivered.
    private(set) var failure: String?
    /// Why the store takes no new messages now.
    var sendsRefused: String?
    var timers = Timers()
    /// Queues to serve, and whose dying entries to bury, when what is going on is done.
    private var deferred: [Queue] = []

    /// Queues with entries that are not durable yet, once for each group that touched them.
    var awaited = UniqueDeque<AwaitedEntries>()
    /// Messages of some of these entries, in the same order.
    var messagesAtHand = MessagesAtHand()
    /// The last ticket or moment given out; orders waiting places and ends of credit.
    private var moment: UInt64 = 0
    /// Bytes of all messages fetched and not delivered.
    var fetchedBytes = 0
    let fetchedBytesMax: Int
    /// What the store read at once; without messages between calls.
    ///
    /// A queue takes the run's memory with its messages, and gives it back when it has none left: of many
    /// queues most have none at most times.
    var smallRun = UniqueDeque<FetchedMessage>()
    /// The same for longer runs, whose memory is too much for a queue with a message or two.
    ///
    /// A queue gives its former memory for it, and keeps what it got.
    var largeRun = UniqueDeque<FetchedMessage>()

    init(
        store: any MessageStore,
        registry: DestinationRegistry,
        fetchedBytesMax: Int,
        now: Instant
    ) {
        self.store = store
        self.registry = registry
        self.now = now
        self.fetchedBytesMax = fetchedBytesMax
    }

    /// When the effect of all appended so far holds.
    var completion: Completion {
        // After the store's end nothing may be confirmed any more.
        guard failure == nil else { return .whenDurable(AppendID(.max)) }
        let append = store.lastAppend
        return append == .none ? .done : .whenDurable(append)
    }

    // MARK: Serving

    /// Has a queue served once what is going on is done.
    ///
    /// What happens to one message may bring another one to another queue, whose subscribers must not
    /// be served in the middle of that.
    func deferServing(_ queue: Queue) {
        guard !queue.isDeferred else { return }
        queue.isDeferred = true
        deferred.append(queue)
    }

    /// Serves the queues that wait for it; call when nothing else is going on.
    func serveDeferred() {
        var index = 0
        while index < deferred.count {
            let queue = deferred[index]
            index += 1
            queue.isDeferred = false
            buryDying(queue)
            // Dead letters came to it, which nobody sent.
            if queue.dropsOldest { trim(queue) }
            serve(queue)
        }
        deferred.removeAll(keepingCapacity: deferred.count < 64)
    }

    /// Delivers what the queue has ready to those who wait, longest first.
    func serve(_ queue: Queue) {
        while let feed = queue.waiting.first() {
            guard bringFront(of: queue) else { return }
            deliver(from: queue, to: feed)
            if feed.isFree {
                queue.waiting.rejoin(feed, ticket: nextMoment())
            } else {
                queue.waiting.removeFirst()
            }
            if queue.isExhausted { return }
        }
    }

    /// Delivers to a session that regained credit or room, its feeds in turn; who is still free
    /// afterwards waits.
    func serve(_ session: Session) {
        guard failure == nil, session.takesDeliveries else { return }
        let count = session.feeds.count
        var index = session.nextInTurn
        var misses = 0
        while misses < count, session.takesDeliveries {
            if !session.hasSharedCredit && session.independentCount == 0 { return }
            let feed = session.feeds[index]
            if serveOne(feed) { misses = 0 } else { misses += 1 }
            index = index + 1 == count ? 0 : index + 1
        }
        for feed in session.feeds { waitIfFree(feed) }
    }

    /// Delivers to a subscription that regained credit of its own, its feeds in turn; if still free it
    /// waits.
    func serve(_ subscription: Subscription) {
        if subscription.feeds.count == 1 {
            while serveOne(subscription.feeds[0]) {}
        } else {
            serveInTurn(subscription)
        }
        for feed in subscription.feeds { waitIfFree(feed) }
    }

    private func serveInTurn(_ subscription: Subscription) {
        let feeds = subscription.feeds
        guard !feeds.isEmpty else { return }
        let last = subscription.session.lastServed
        var index = feeds.firstIndex { $0.number > last } ?? 0
        var misses = 0
        while misses < feeds.count, subscription.isFree {
            if serveOne(feeds[index]) { misses = 0 } else { misses += 1 }
            index = index + 1 == feeds.count ? 0 : index + 1
        }
    }

    private func serveOne(_ feed: Feed) -> Bool {
        guard case .queue(let queue) = feed.source, feed.isFree, bringFront(of: queue) else {
            return false
        }
        deliver(from: queue, to: feed)
        return true
    }

    private func waitIfFree(_ feed: Feed) {
        guard case .queue(let queue) = feed.source else { return }
        if feed.isFree && !feed.isWaiting { wait(feed, for: queue) }
    }

    private func wait(_ feed: Feed, for queue: Queue) {
        queue.waiting.join(feed, ticket: nextMoment(), subscriberCount: queue.subscriberCount)
    }

    private func nextMoment() -> UInt64 {
        moment += 1
        return moment
    }

    // MARK: Delivering

    private func deliver(from queue: Queue, to feed: Feed) {
        let sequence = queue.ready[0].sequence
        let redeliveries = queue.ready[0].deliveryCount
        let time = queue.ready[0].time
        // Nothing else of it is used from here on, so that it is moved: a copy counts references up and down.
        let message = queue.takeFront().message
        let subscription = feed.subscription
        let session = subscription.session
        let bytes = message.byteCount
        let number = session.nextDelivery()
        if queue.isPersistent {
            fetchedBytes -= bytes
            if queue.ready.isEmpty { queue.giveSmallMemory(to: &smallRun) }
        }
        subscription.inFlight.append(
            InFlight(
                number: number,
                queue: queue.id,
                sequence: sequence,
                time: time,
                deadline: lease(of: subscription, queue),
                byteCount: UInt32(bytes),
                redeliveries: redeliveries,
                kept: queue.isPersistent ? nil : InFlight.Kept(message)
            )
        )
        queue.inFlightCount += 1
        queue.inFlightBytes += bytes
        charge(subscription, bytes: message.footprint)
        session.lastServed = feed.number
        feed.ticket = 0
        stats.deliveries += 1
        if redeliveries > 0 { stats.redeliveries += 1 }
        effects.append(
            .deliver(
                Delivery(
                    session: session.id,
                    subscription: subscription.id,
                    number: number,
                    settlesWhenWritten: subscription.mode == .auto,
                    id: MessageID(queue: queue.id, sequence: sequence),
                    destination: queue.destination,
                    redeliveries: redeliveries,
                    message: consume message
                )
            )
        )
    }

    /// When a delivery goes back that nobody answers; the subscription's timer is set to look then.
    @inline(__always)
    private func lease(of subscription: Subscription, _ queue: Queue) -> MonotonicTime {
        if subscription.mode == .auto { return .never }
        var timeout = subscription.ackTimeout ?? queue.ackTimeout
        if timeout == .zero { return .never }
        // The server drops a client whose heart-beats fail to come, so while the session lasts they
        // come, and renew the lease.
        if subscription.session.hasHeartBeats { timeout = max(timeout, queue.policy.ackTimeoutMax) }
        let deadline = now.monotonic.advanced(by: timeout)
        if let timer = subscription.timer, timer <= deadline { return deadline }
        setTimer(of: subscription, at: deadline)
        return deadline
    }

    /// Takes the credit and room of one delivery, and notes the moment they run out.
    private func charge(_ subscription: Subscription, bytes: Int) {
        let session = subscription.session
        if subscription.usesSharedCredit {
            session.useSharedCredit()
            if !session.hasSharedCredit { session.exhaustedAt = nextMoment() }
        } else if subscription.mode != .auto {
            invariant(
                subscription.inFlight.count <= subscription.prefetch,
                "a delivery needs credit"
            )
            if subscription.inFlight.count == subscription.prefetch {
                subscription.exhaustedAt = nextMoment()
            }
        }
        addUnwritten(bytes, to: session)
    }

    func addUnwritten(_ bytes: Int, to session: Session) {
        let tookDeliveries = session.takesDeliveries
        session.addUnwritten(bytes)
        if tookDeliveries && !session.takesDeliveries { session.filledAt = nextMoment() }
    }

    // MARK: Ending deliveries

    /// Takes a row that left the in-flight table off all accounts.
    private func release(_ row: InFlight, of subscription: Subscription, _ queue: Queue) {
        queue.inFlightCount -= 1
        queue.inFlightBytes -= row.bytes
        invariant(queue.inFlightCount >= 0, "no more is settled than was delivered")
        if subscription.usesSharedCredit { subscription.session.regainSharedCredit() }
    }

    /// Marks a row that left the in-flight table as done.
    func settle(_ row: InFlight, of subscription: Subscription) {
        guard let queue = subscription.queue(of: row.queue) else { return }
        release(row, of: subscription, queue)
        stats.settles += 1
        if queue.isPersistent, failure == nil {
            store.settle(queue.id, row.sequence, bytes: row.bytes, reason: .acknowledged)
        }
    }

    /// Returns rows that left the in-flight table to their places, or sets those aside that nobody is to
    /// get again.
    ///
    /// Delivers nothing. Returns the queues that they came from.
    @discardableResult
    func giveBack(
        _ rows: [InFlight],
        of subscription: Subscription,
        isRejected: Bool = false
    ) -> [Queue] {
        guard let first = rows.first else { return [] }
        stats.returns += rows.count
        guard rows.contains(where: { $0.queue != first.queue }) else {
            guard let queue = subscription.queue(of: first.queue) else { return [] }
            giveBack(rows, of: subscription, queue, isRejected: isRejected)
            return [queue]
        }
        var queues: [Queue] = []
        for (id, rows) in Dictionary(grouping: rows, by: \.queue).sorted(by: { $0.key < $1.key }) {
            guard let queue = subscription.queue(of: id) else { continue }
            giveBack(rows, of: subscription, queue, isRejected: isRejected)
            queues.append(queue)
        }
        return queues
    }

    private func giveBack(
        _ rows: [InFlight],
        of subscription: Subscription,
        _ queue: Queue,
        isRejected: Bool
    ) {
        for row in rows { release(row, of: subscription, queue) }
        var placed: [InFlight] = []
        for row in rows.sorted(by: { $0.sequence < $1.sequence }) {
            let count = row.redeliveries + 1
            var due = MonotonicTime(nanoseconds: 0)
            if let reason = queue.death(isRejected: isRejected, deliveryCount: count) {
                queue.setDying(row.dying(reason))
                deferServing(queue)
            } else {
                let delay = queue.delay(of: count)
                if delay == .zero {
                    placed.append(row)
                } else {
                    due = now.monotonic.advanced(by: delay)
                    queue.delayed.insert(row.delayed(until: due))
                    setTimer(of: queue, at: due)
                }
            }
            guard queue.isPersistent, failure == nil else { continue }
            store.requeue(
                queue.id,
                RequeuedEntry(
                    sequence: row.sequence,
                    deliveryCount: count,
                    isRejected: isRejected,
                    due: due.nanoseconds == 0
                        ? 0 : now.wall.milliseconds + due.since(now.monotonic).milliseconds
                )
            )
        }
        putBack(placed, in: queue)
    }

    private func putBack(_ rows: [InFlight], in queue: Queue) {
        if rows.isEmpty { return }
        if queue.isPersistent {
            queue.putBack(
                rows.map {
                    Queue.Returned(sequence: $0.sequence, deliveryCount: $0.redeliveries + 1)
                }
            )
        } else {
            queue.putBack(rows.compactMap(\.item))
        }
    }

    /// Lets go of what was fetched for a queue that nobody is subscribed to any more.
    func lastSubscriberLeft(_ queue: Queue) {
        queue.waiting.removeAll()
        fetchedBytes -= queue.forgetFetched()
    }

    /// Ends all deliveries, also those that nobody has taken yet.
    func fail(_ reason: String) {
        guard failure == nil else { return }
        failure = reason
        letGoOfMessagesAtHand()
        effects.removeAll { effect in
            if case .deliver = effect { true } else { false }
        }
        effects.append(.storeFailed(reason))
    }
}
