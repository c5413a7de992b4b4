import Base

/// One subscription of a client: its credit, and what it holds.
///
/// Confinement: broker loop.
final class Subscription {
    // What every delivery needs stands first; see `Queue`.

    let id: SubscriptionID
    let session: Session
    let mode: AckMode
    var isEnded = false
    /// Credit of its own; 0 if the session's shared credit holds.
    let prefetch: Int
    var inFlight = InFlightTable()
    /// The queue of a subscription without a pattern, kept at hand for every answer.
    private(set) var soleQueue: Queue?
    /// When its own credit was last used up, on the scale of tickets.
    var exhaustedAt: UInt64 = 0
    /// How long a delivery may stay unanswered, if the client said it; zero = for ever.
    let ackTimeout: Interval?
    /// When the timer looks at its leases next; nil if no lease runs.
    var timer: MonotonicTime?

    /// What destinations it covers, those made later among them; nil for a single one.
    let pattern: DestinationPattern?
    /// One for each queue or topic; one in all unless it has a pattern.
    private(set) var feeds: [Feed] = []
    private var feedsByQueue: [QueueID: Feed] = [:]

    init(
        id: SubscriptionID,
        session: Session,
        _ request: SubscriptionRequest,
        prefetch: Int,
        pattern: DestinationPattern? = nil
    ) {
        self.id = id
        self.session = session
        mode = request.mode
        ackTimeout = request.ackTimeout
        self.prefetch = prefetch
        self.pattern = pattern
    }

    /// True if its deliveries count against the session's shared credit.
    var usesSharedCredit: Bool { prefetch == 0 && mode != .auto }

    /// True if a message may be delivered to it now.
    var isFree: Bool {
        guard !isEnded, session.takesDeliveries else { return false }
        if mode == .auto { return true }
        return prefetch > 0 ? inFlight.count < prefetch : session.hasSharedCredit
    }

    // MARK: Feeds

    /// The queue that a delivery to it came from.
    @inline(__always)
    func queue(of id: QueueID) -> Queue? {
        if let soleQueue { return soleQueue.id == id ? soleQueue : nil }
        return feedsByQueue[id]?.queue
    }

    func add(_ feed: Feed) {
        feeds.append(feed)
        guard let queue = feed.queue else { return }
        if pattern == nil { soleQueue = queue } else { feedsByQueue[queue.id] = feed }
    }

    func remove(_ feed: Feed) {
        feeds.removeAll { $0 === feed }
        if let queue = feed.queue { feedsByQueue[queue.id] = nil }
    }
}

/// A subscription's place at one queue or topic.
///
/// Confinement: broker loop.
final class Feed {
    /// Where messages come from.
    enum Source {
        case queue(Queue)
        case topic(Topic)
    }

    /// Rises within the session.
    let number: UInt64
    let subscription: Subscription
    let source: Source

    /// Its place in the queue's waiting line; 0 = none.
    var ticket: UInt64 = 0
    var isEnded = false
    /// Topics only.
    var backlog = TopicBacklog()
    var topicIndex = -1

    init(number: UInt64, subscription: Subscription, source: Source) {
        self.number = number
        self.subscription = subscription
        self.source = source
    }

    var queue: Queue? {
        switch source {
        case .queue(let queue): queue
        case .topic: nil
        }
    }

    /// True if a message may be delivered through it now.
    var isFree: Bool { !isEnded && subscription.isFree }

    /// True if it is free, and has been since it got this place in line.
    func holds(_ place: UInt64) -> Bool {
        guard ticket == place, place != 0, isFree else { return false }
        guard place > subscription.session.filledAt else { return false }
        return subscription.usesSharedCredit
            ? place > subscription.session.exhaustedAt : place > subscription.exhaustedAt
    }

    /// True if it stands in its queue's line.
    var isWaiting: Bool { holds(ticket) }
}
