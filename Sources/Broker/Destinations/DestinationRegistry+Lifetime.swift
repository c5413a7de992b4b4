import Base

/// A queue that one session asked for, under an address that others can send to.
struct TemporaryQueue {
    let address: String
    let id: DestinationID
    let queue: Queue
}

/// Destinations that come and go.
extension DestinationRegistry {
    // MARK: Dead letters

    /// The queue of dead letters, made if it is not there; nil if it cannot be made.
    func deadLetterQueue(_ text: String, storeRefuses: String?, now: Instant) -> Queue? {
        if let id = id(of: text) {
            if case .queue(let queue)? = self[id] { return queue }
            return nil
        }
        do throws(BrokerError) {
            let name = try DestinationName(parsing: text)
            guard name.kind == .queue else { return nil }
            let id = try create(checked: name, storeRefuses: storeRefuses, now: now)
            if case .queue(let queue)? = self[id] { return queue }
        } catch {}
        return nil
    }

    // MARK: Temporary queues

    /// Makes a temporary queue under an address that nobody else has.
    func createTemporary(_ address: String, now: Instant) throws(BrokerError) -> TemporaryQueue {
        try checkRoom(address)
        var policy = BrokerSettings.QueuePolicy()
        policy.storage = .memory
        policy.deliveriesMax = 0
        policy.deadLetter = ""
        let (id, queue) = addMemoryQueue(address, policy, now: now)
        return TemporaryQueue(address: address, id: id, queue: queue)
    }

    // MARK: Unused destinations

    /// Destinations that are looked at in one step of the search.
    private static var searchedMax: Int { 1000 }

    /// Goes through some of all destinations; returns those that were unused for long.
    func findUnused(for time: Interval, now: Instant) -> [DestinationID] {
        guard time > .zero else { return [] }
        return search(Self.searchedMax) { destination in
            switch destination {
            case .queue(let queue):
                queue.takeWasUsed() || queue.subscriberCount > queue.patternSubscriberCount
                    || queue.inFlightCount > 0 || queue.fetch != .none
                    || queue.depth(in: store).messages > 0
            case .topic(let topic):
                topic.takeWasUsed() || topic.feeds.contains { $0.subscription.pattern == nil }
            case .fanout:
                true
            }
        } isOld: { lastUsed in
            now.monotonic.since(lastUsed) >= time
        } at: {
            now.monotonic
        }
    }
}
