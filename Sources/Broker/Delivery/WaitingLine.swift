import DequeModule

/// The free subscribers of one queue, longest waiting first.
///
/// A place lapses when its holder stops being free, is served or ends; lapsed places are thrown
/// away when the front reaches them, or when they outnumber the subscribers.
struct WaitingLine {
    private struct Place {
        let subscription: Subscription
        let ticket: UInt64
    }

    private var places = Deque<Place>()

    /// Puts a subscription at the end under a ticket that is higher than any before.
    mutating func join(_ subscription: Subscription, ticket: UInt64, subscriberCount: Int) {
        if places.count > 2 * subscriberCount + 8 {
            places.removeAll { !$0.subscription.holds($0.ticket) }
        }
        subscription.ticket = ticket
        places.append(Place(subscription: subscription, ticket: ticket))
    }

    /// The one that has waited longest; it keeps its place.
    mutating func first() -> Subscription? {
        while !places.isEmpty {
            let subscription = places[0].subscription
            if subscription.holds(places[0].ticket) { return subscription }
            places.removeFirst()
        }
        return nil
    }

    /// Takes the one that `first` returned out of the line.
    mutating func removeFirst() {
        let place = places.removeFirst()
        place.subscription.ticket = 0
    }

    mutating func removeAll() {
        places = []
    }
}
