import Base

/// A session's claim on one queue or topic.
///
/// Confinement: broker loop.
final class Subscription {
    /// Where messages come from.
    enum Source {
        case queue(Queue)
        case topic(Topic)
    }

    let id: SubscriptionID
    let session: Session
    let source: Source
    let mode: AckMode
    /// Credit of its own; 0 if the session's shared credit holds.
    let prefetch: Int

    var inFlight = InFlightTable()
    /// Its place in the queue's waiting line; 0 = none.
    var ticket: UInt64 = 0
    /// When its own credit was last used up, on the scale of tickets.
    var exhaustedAt: UInt64 = 0
    var isEnded = false
    /// Topics only.
    var backlog = TopicBacklog()
    var topicIndex = -1

    init(id: SubscriptionID, session: Session, source: Source, mode: AckMode, prefetch: Int) {
        self.id = id
        self.session = session
        self.source = source
        self.mode = mode
        self.prefetch = prefetch
    }

    var queue: Queue? {
        switch source {
        case .queue(let queue): queue
        case .topic: nil
        }
    }

    /// True if its deliveries count against the session's shared credit.
    var usesSharedCredit: Bool { prefetch == 0 && mode != .auto }

    /// True if a message of its queue may be delivered to it now.
    var isFree: Bool {
        guard !isEnded, session.takesDeliveries else { return false }
        if mode == .auto { return true }
        return prefetch > 0 ? inFlight.count < prefetch : session.hasSharedCredit
    }

    /// True if it is free, and has been since it got this place in line.
    func holds(_ place: UInt64) -> Bool {
        guard ticket == place, place != 0, isFree else { return false }
        guard place > session.filledAt else { return false }
        return usesSharedCredit ? place > session.exhaustedAt : place > exhaustedAt
    }

    /// True if it stands in its queue's line.
    var isWaiting: Bool { holds(ticket) }
}
