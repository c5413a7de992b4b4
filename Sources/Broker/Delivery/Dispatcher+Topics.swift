import Base
import DequeModule

extension Dispatcher {
    /// Sends a message to all subscribers of a topic, or has it wait for those who do not read.
    func publish(_ message: Message, to topic: Topic) {
        guard failure == nil else { return }
        let sequence = topic.takeSequence()
        workCount += topic.feeds.count
        var kept: Message?
        for feed in topic.feeds where !feed.subscription.session.isFailed {
            if feed.subscription.session.takesDeliveries && feed.backlog.isEmpty {
                deliver(message, sequence, from: topic, to: feed)
                continue
            }
            let item = kept ?? message.compacted()
            kept = item
            keep(TopicBacklog.Item(sequence: sequence, message: item), for: feed, topic)
        }
    }

    /// Sends what waited for a subscriber of a topic, while there is room.
    func drainBacklog(of feed: Feed) {
        guard failure == nil, case .topic(let topic) = feed.source else { return }
        while feed.subscription.session.takesDeliveries, let item = feed.backlog.popFirst() {
            if item.message.isExpired(at: now.wall) {
                stats.expired += 1
            } else {
                deliver(item.message, item.sequence, from: topic, to: feed)
            }
        }
    }

    private func keep(
        _ item: TopicBacklog.Item,
        for feed: Feed,
        _ topic: Topic
    ) {
        let room = topic.policy.bufferBytes
        let bytes = item.message.footprint
        guard feed.backlog.bytes + bytes > room else {
            feed.backlog.append(item)
            return
        }
        switch topic.policy.slowConsumer {
        case .drop:
            guard bytes <= room else {
                stats.topicDrops += 1
                return
            }
            while feed.backlog.bytes + bytes > room,
                feed.backlog.popFirst() != nil
            {
                stats.topicDrops += 1
            }
            feed.backlog.append(item)
        case .disconnect:
            fail(
                feed.subscription.session,
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
        to feed: Feed
    ) {
        let subscription = feed.subscription
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
        for feed in session.feeds { feed.backlog.removeAll() }
        effects.append(.fail(session.id, error))
    }
}
