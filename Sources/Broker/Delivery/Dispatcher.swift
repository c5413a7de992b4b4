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
    var effects: [Effect] = []
    var stats = BrokerStats()
    /// Subscribers of topics looked after since the effects were taken.
    var workCount = 0
    /// Why the store ended; from then on nothing is delivered.
    private(set) var failure: String?

    /// Queues with entries that are not durable yet, once for each group that touched them.
    private var awaited = Deque<(append: AppendID, queue: Queue)>()
    /// The last ticket or moment given out; orders waiting places and ends of credit.
    private var moment: UInt64 = 0
    /// Bytes of all messages fetched and not delivered.
    private var fetchedBytes = 0
    private let fetchedBytesMax: Int

    init(store: any MessageStore, fetchedBytesMax: Int) {
        self.store = store
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

    /// Delivers what the queue has ready to those who wait, longest first.
    func serve(_ queue: Queue) {
        while let subscription = queue.waiting.first() {
            guard bringFront(of: queue) else { return }
            queue.waiting.removeFirst()
            deliver(from: queue, to: subscription)
            if subscription.isFree { wait(subscription, for: queue) }
        }
    }

    /// Delivers to a session that regained credit or room, its subscriptions in turn; who is still
    /// free afterwards waits.
    func serve(_ session: Session) {
        guard failure == nil, session.takesDeliveries else { return }
        let count = session.subscriptions.count
        var index = session.nextInTurn
        var misses = 0
        while misses < count, session.takesDeliveries {
            if !session.hasSharedCredit && session.independentCount == 0 { return }
            let subscription = session.subscriptions[index]
            if serveOne(subscription) { misses = 0 } else { misses += 1 }
            index = index + 1 == count ? 0 : index + 1
        }
        for subscription in session.subscriptions { waitIfFree(subscription) }
    }

    /// Delivers to a subscription that regained credit of its own; if still free it waits.
    func serve(_ subscription: Subscription) {
        while serveOne(subscription) {}
        waitIfFree(subscription)
    }

    private func serveOne(_ subscription: Subscription) -> Bool {
        guard case .queue(let queue) = subscription.source, subscription.isFree,
            bringFront(of: queue)
        else { return false }
        deliver(from: queue, to: subscription)
        return true
    }

    private func waitIfFree(_ subscription: Subscription) {
        guard case .queue(let queue) = subscription.source else { return }
        if subscription.isFree && !subscription.isWaiting { wait(subscription, for: queue) }
    }

    private func wait(_ subscription: Subscription, for queue: Queue) {
        queue.waiting.join(
            subscription,
            ticket: nextMoment(),
            subscriberCount: queue.subscriberCount
        )
    }

    private func nextMoment() -> UInt64 {
        moment += 1
        return moment
    }

    // MARK: Delivering

    private func deliver(from queue: Queue, to subscription: Subscription) {
        let item = queue.takeFront()
        let session = subscription.session
        let bytes = item.message.byteCount
        let number = session.nextDelivery()
        if queue.isPersistent { fetchedBytes -= bytes }
        subscription.inFlight.append(
            InFlight(
                number: number,
                sequence: item.sequence,
                bytes: bytes,
                redeliveries: item.deliveryCount,
                message: queue.isPersistent ? nil : item.message
            )
        )
        queue.inFlightCount += 1
        queue.inFlightBytes += bytes
        charge(subscription, bytes: item.message.footprint)
        session.lastServed = subscription.id
        subscription.ticket = 0
        stats.deliveries += 1
        if item.deliveryCount > 0 { stats.redeliveries += 1 }
        effects.append(
            .deliver(
                Delivery(
                    session: session.id,
                    subscription: subscription.id,
                    number: number,
                    settlesWhenWritten: subscription.mode == .auto,
                    id: MessageID(queue: queue.id, sequence: item.sequence),
                    destination: queue.destination,
                    redeliveries: item.deliveryCount,
                    message: item.message
                )
            )
        )
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

    private func addUnwritten(_ bytes: Int, to session: Session) {
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
    func settle(_ row: InFlight, of subscription: Subscription, _ queue: Queue) {
        release(row, of: subscription, queue)
        stats.settles += 1
        if queue.isPersistent, failure == nil {
            store.settle(queue.id, row.sequence, bytes: row.bytes, reason: .acknowledged)
        }
    }

    /// Returns rows that left the in-flight table to their places.
    ///
    /// Delivers nothing.
    func giveBack(_ rows: [InFlight], of subscription: Subscription, _ queue: Queue) {
        guard !rows.isEmpty else { return }
        for row in rows { release(row, of: subscription, queue) }
        stats.returns += rows.count
        let rising = rows.sorted { $0.sequence < $1.sequence }
        guard queue.isPersistent else {
            queue.putBack(
                rising.compactMap { row in
                    row.message.map {
                        FetchedMessage(
                            sequence: row.sequence,
                            deliveryCount: row.redeliveries + 1,
                            message: $0
                        )
                    }
                }
            )
            return
        }
        if failure == nil {
            for row in rising {
                store.requeue(queue.id, row.sequence, deliveryCount: row.redeliveries + 1)
            }
        }
        queue.putBack(
            rising.map {
                Queue.Returned(sequence: $0.sequence, deliveryCount: $0.redeliveries + 1)
            }
        )
    }

    /// Lets go of what was fetched for a queue that nobody is subscribed to any more.
    func lastSubscriberLeft(_ queue: Queue) {
        queue.waiting.removeAll()
        fetchedBytes -= queue.forgetFetched()
    }

    // MARK: The store

    /// Makes the front of the queue ready if that is possible at once.
    private func bringFront(of queue: Queue) -> Bool {
        if queue.frontIsReady { return failure == nil }
        guard queue.isPersistent, failure == nil else { return false }
        while let (from, limit) = queue.wantedFetch(bytesMax: fetchBytes) {
            queue.fetchOpened(from: from)
            guard case .now(let run) = store.fetch(queue.id, from: from, limit: limit) else {
                return false
            }
            take(run, for: queue)
            if queue.frontIsReady { return true }
            // A run that goes nowhere would be asked for again for ever.
            guard run.next > from else { return false }
        }
        return false
    }

    private var fetchBytes: Int {
        // One message comes even past the limit, so that every queue can go on.
        fetchedBytes < fetchedBytesMax ? Queue.fetchBytesMax : 1
    }

    private func take(_ run: FetchedRun, for queue: Queue) {
        let before = queue.readyBytes
        stats.unreadableEntries += queue.fetched(run)
        fetchedBytes += queue.readyBytes - before
        if queue.policy.overflow == .dropOldest { trim(queue) }
    }

    /// Takes in the run of a fetch that was open.
    func fetched(_ run: FetchedRun, for queue: Queue) {
        guard failure == nil else { return }
        take(run, for: queue)
        serve(queue)
    }

    /// Notes an entry that the store took.
    func appended(_ sequence: EntrySequence, to queue: Queue, coveredBy append: AppendID) {
        if queue.appended(sequence, coveredBy: append) { awaited.append((append, queue)) }
    }

    func becameDurable(upTo append: AppendID) {
        guard failure == nil else { return }
        while let first = awaited.first, first.append <= append {
            awaited.removeFirst()
            first.queue.becameDurable(upTo: append)
            serve(first.queue)
        }
    }

    /// Ends all deliveries, also those that nobody has taken yet.
    func fail(_ reason: String) {
        guard failure == nil else { return }
        failure = reason
        effects.removeAll { effect in
            if case .deliver = effect { true } else { false }
        }
        effects.append(.storeFailed(reason))
    }

    // MARK: Overflow

    /// Drops the oldest entries that are not in flight until a `drop_oldest` queue is within its
    /// limits.
    ///
    /// Entries of a persistent queue must be read before they can be dropped, for which of them are
    /// settled stands in the log: such a queue is over its limit while it reads from the disk.
    func trim(_ queue: Queue) {
        while queue.isOver(queue.depth(in: store)) {
            if queue.isPersistent, let first = queue.returned.first,
                queue.ready.isEmpty || first.sequence < queue.ready[0].sequence
            {
                guard queue.fetch == .none else { return }
                queue.returned.removeFirst()
                drop(first.sequence, bytes: nil, from: queue)
            } else if !queue.ready.isEmpty {
                let item = queue.takeFront()
                let bytes = item.message.byteCount
                if queue.isPersistent { fetchedBytes -= bytes }
                drop(item.sequence, bytes: bytes, from: queue)
            } else if let (from, limit) = queue.wantedTrimFetch() {
                queue.fetchOpened(from: from)
                guard case .now(let run) = store.fetch(queue.id, from: from, limit: limit) else {
                    return
                }
                let before = queue.readyBytes
                stats.unreadableEntries += queue.fetched(run)
                fetchedBytes += queue.readyBytes - before
                guard run.next > from else { return }
            } else {
                return
            }
        }
    }

    private func drop(_ sequence: EntrySequence, bytes: Int?, from queue: Queue) {
        stats.queueDrops += 1
        if queue.isPersistent {
            store.settle(queue.id, sequence, bytes: bytes, reason: .dropped)
        }
    }

    // MARK: Topics

    /// Sends a message to all subscribers of a topic, or has it wait for those who do not read.
    func publish(_ message: Message, to topic: Topic) {
        guard failure == nil else { return }
        let sequence = topic.takeSequence()
        workCount += topic.subscribers.count
        var kept: Message?
        for subscription in topic.subscribers where !subscription.session.isFailed {
            if subscription.session.takesDeliveries && subscription.backlog.isEmpty {
                deliver(message, sequence, from: topic, to: subscription)
                continue
            }
            let item = kept ?? message.compacted()
            kept = item
            keep(TopicBacklog.Item(sequence: sequence, message: item), for: subscription, topic)
        }
    }

    /// Sends what waited for a subscriber of a topic, while there is room.
    func drainBacklog(of subscription: Subscription) {
        guard failure == nil, case .topic(let topic) = subscription.source else { return }
        while subscription.session.takesDeliveries, let item = subscription.backlog.popFirst() {
            deliver(item.message, item.sequence, from: topic, to: subscription)
        }
    }

    private func keep(
        _ item: TopicBacklog.Item,
        for subscription: Subscription,
        _ topic: Topic
    ) {
        let room = topic.policy.bufferBytes
        let bytes = item.message.footprint
        guard subscription.backlog.bytes + bytes > room else {
            subscription.backlog.append(item)
            return
        }
        switch topic.policy.slowConsumer {
        case .drop:
            guard bytes <= room else {
                stats.topicDrops += 1
                return
            }
            while subscription.backlog.bytes + bytes > room,
                subscription.backlog.popFirst() != nil
            {
                stats.topicDrops += 1
            }
            subscription.backlog.append(item)
        case .disconnect:
            fail(
                subscription.session,
                BrokerError(
                    .limitReached,
                    "too slow a reader of \(topic.name): buffer = \(room) bytes are waiting"
                )
            )
        }
    }

    private func deliver(
        _ message: Message,
        _ sequence: EntrySequence,
        from topic: Topic,
        to subscription: Subscription
    ) {
        addUnwritten(message.footprint, to: subscription.session)
        stats.topicDeliveries += 1
        effects.append(
            .deliver(
                Delivery(
                    session: subscription.session.id,
                    subscription: subscription.id,
                    number: nil,
                    settlesWhenWritten: false,
                    id: MessageID(queue: topic.id, sequence: sequence),
                    destination: topic.destination,
                    redeliveries: 0,
                    message: message
                )
            )
        )
    }

    /// Tells a session to go; it gets nothing any more.
    func fail(_ session: Session, _ error: BrokerError) {
        guard !session.isFailed else { return }
        session.isFailed = true
        for subscription in session.subscriptions { subscription.backlog.removeAll() }
        effects.append(.fail(session.id, error))
    }
}
