/// The free subscribers of one queue, longest waiting first.
///
/// A place lapses when its holder stops being free, is served or ends; lapsed places are thrown
/// away when the front reaches them, or when they outnumber the subscribers.
struct WaitingLine {
    private struct Place {
        let feed: Feed
        var ticket: UInt64
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

    /// True if nobody waits; false says little, for some places may be out of date.
    @inline(__always)
    var isEmpty: Bool { places.count == 0 }

    /// The one that has waited longest; it keeps its place.
    mutating func first() -> Feed? {
        while let place = places.first {
            if place.feed.holds(place.ticket) { return place.feed }
            places.removeFirst()
        }
        return nil
    }

    /// Takes the one that `first` returned out of the line: it was served.
    mutating func removeFirst() { places.removeFirst() }

    /// Has the one that `first` returned wait behind all others, under a ticket that is higher than any
    /// before: it was served and is still free.
    @inline(__always)
    mutating func rejoin(_ feed: Feed, ticket: UInt64) {
        feed.ticket = ticket
        if places.count == 1 {
            places.updateFirst { $0?.ticket = ticket }
        } else {
            places.removeFirst()
            places.append(Place(feed: feed, ticket: ticket))
        }
    }

    mutating func removeAll() {
        places.removeAll()
    }
}
