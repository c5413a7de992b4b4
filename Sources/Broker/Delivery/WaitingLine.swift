import DequeModule

/// The free subscribers of one queue, longest waiting first.
///
/// A place lapses when its holder stops being free, is served or ends; lapsed places are thrown
/// away when the front reaches them, or when they outnumber the subscribers.
struct WaitingLine {
    private struct Place {
        let feed: Feed
        let ticket: UInt64
    }

    private var places = Deque<Place>()

    /// Puts a feed at the end under a ticket that is higher than any before.
    mutating func join(_ feed: Feed, ticket: UInt64, subscriberCount: Int) {
        if places.count > 2 * subscriberCount + 8 {
            places.removeAll { !$0.feed.holds($0.ticket) }
        }
        feed.ticket = ticket
        places.append(Place(feed: feed, ticket: ticket))
    }

    /// The one that has waited longest; it keeps its place.
    mutating func first() -> Feed? {
        while !places.isEmpty {
            let feed = places[0].feed
            if feed.holds(places[0].ticket) { return feed }
            places.removeFirst()
        }
        return nil
    }

    /// Takes the one that `first` returned out of the line.
    mutating func removeFirst() {
        let place = places.removeFirst()
        place.feed.ticket = 0
    }

    mutating func removeAll() {
        places = []
    }
}
