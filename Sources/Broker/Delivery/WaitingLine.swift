/// The free subscribers of one queue, longest waiting first.
///
/// A place lapses when its holder stops being free, is served or ends; lapsed places are thrown
/// away when the front reaches them, or when they outnumber the subscribers.
struct WaitingLine {
    private struct Place {
        let feed: Feed
        let ticket: UInt64
    }

    private var places = InlineDeque<Place>()

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
        while let place = places.first {
            if place.feed.holds(place.ticket) { return place.feed }
            places.removeFirst()
        }
        return nil
    }

    /// Takes the one that `first` returned out of the line, to be served.
    mutating func removeFirst() { places.removeFirst() }

    mutating func removeAll() {
        places.removeAll()
    }
}
