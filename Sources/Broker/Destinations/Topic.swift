import Base
import DequeModule

/// A destination that keeps nothing: each message goes to all who are subscribed now.
///
/// Confinement: broker loop.
final class Topic {
    /// Names its messages together with a sequence; no store knows it.
    let id: QueueID
    let name: String
    let destination: DestinationID
    var policy: BrokerSettings.TopicPolicy
    /// In no order that means anything; each knows its index, so that leaving costs the same for all.
    private(set) var feeds: [Feed] = []
    private var nextSequence: EntrySequence
    private var lastAsked: EntrySequence

    init(
        id: QueueID,
        name: String,
        destination: DestinationID,
        policy: BrokerSettings.TopicPolicy,
        firstSequence: EntrySequence
    ) {
        self.id = id
        self.name = name
        self.destination = destination
        self.policy = policy
        nextSequence = firstSequence
        lastAsked = firstSequence
    }

    /// Whether a message was sent since the last call.
    func takeWasUsed() -> Bool {
        defer { lastAsked = nextSequence }
        return nextSequence > lastAsked
    }

    func takeSequence() -> EntrySequence {
        defer { nextSequence = nextSequence.next }
        return nextSequence
    }

    func add(_ feed: Feed) {
        feed.topicIndex = feeds.count
        feeds.append(feed)
    }

    func remove(_ feed: Feed) {
        let index = feed.topicIndex
        invariant(
            feeds.indices.contains(index) && feeds[index] === feed,
            "a topic's subscriber stands where it says"
        )
        let last = feeds.removeLast()
        guard last !== feed else { return }
        feeds[index] = last
        last.topicIndex = index
    }
}

/// Messages of a topic that wait for one subscriber whose socket is full.
struct TopicBacklog {
    struct Item {
        let sequence: EntrySequence
        let message: Message
    }

    private var items = Deque<Item>()
    /// The sum of their messages' `footprint`.
    private(set) var bytes = 0

    var isEmpty: Bool { items.isEmpty }

    mutating func append(_ item: Item) {
        items.append(item)
        bytes += item.message.footprint
    }

    mutating func popFirst() -> Item? {
        guard let item = items.popFirst() else { return nil }
        bytes -= item.message.footprint
        return item
    }

    mutating func removeAll() {
        items.removeAll()
        bytes = 0
    }
}
