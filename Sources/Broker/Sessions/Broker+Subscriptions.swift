package import Base

extension Broker {
    /// Subscribes to a queue or topic.
    ///
    /// `prefetch` gives the subscription credit of its own.
    package func subscribe(
        _ session: SessionID,
        to destination: DestinationID,
        mode: AckMode,
        prefetch: Int?,
        now: Instant
    ) throws(BrokerError) -> SubscriptionID {
        let session = try require(session)
        let limits = settings.limits
        guard session.subscriptions.count < limits.subscriptionsPerConnection else {
            throw BrokerError(
                .limitReached,
                "too many subscriptions: subscriptions_per_connection = "
                    + "\(limits.subscriptionsPerConnection)"
            )
        }
        if let prefetch, !(1...limits.prefetchMax).contains(prefetch) {
            throw BrokerError(
                .limitReached,
                "prefetch \(prefetch): 1 to \(limits.prefetchMax) is possible"
            )
        }
        let subscription: Subscription
        switch registry[destination] {
        case .queue(let queue):
            subscription = Subscription(
                id: session.nextSubscription(),
                session: session,
                source: .queue(queue),
                mode: mode,
                prefetch: prefetch ?? queue.policy.prefetch ?? 0
            )
            session.add(subscription)
            queue.subscriberCount += 1
            dispatcher.serve(subscription)
        case .topic(let topic):
            subscription = Subscription(
                id: session.nextSubscription(),
                session: session,
                source: .topic(topic),
                mode: mode,
                prefetch: 0
            )
            session.add(subscription)
            topic.add(subscription)
        case .fanout(let fanout):
            throw BrokerError(
                .badDestination,
                "destination \(fanout.name) is a fan-out: nobody can subscribe"
            )
        }
        return subscription.id
    }

    /// Ends a subscription; what is in flight on it returns to its place.
    ///
    /// Unknown ids are ignored.
    package func unsubscribe(
        _ session: SessionID,
        _ subscription: SubscriptionID,
        now: Instant
    ) {
        guard let session = sessions.find(session),
            let subscription = session.subscription(subscription)
        else { return }
        let hadCredit = session.hasSharedCredit
        subscription.isEnded = true
        session.remove(subscription)
        takeBack(subscription)
        passOn(subscription)
        if !hadCredit { dispatcher.serve(session) }
    }

    /// Takes back what an ended subscription holds.
    ///
    /// Delivers nothing.
    func takeBack(_ subscription: Subscription) {
        switch subscription.source {
        case .queue(let queue):
            dispatcher.giveBack(subscription.inFlight.takeAll(), of: subscription, queue)
            queue.subscriberCount -= 1
        case .topic(let topic):
            subscription.backlog.removeAll()
            topic.remove(subscription)
        }
    }

    /// Gives others what an ended subscription held.
    func passOn(_ subscription: Subscription) {
        guard case .queue(let queue) = subscription.source else { return }
        if queue.subscriberCount == 0 {
            dispatcher.lastSubscriberLeft(queue)
        } else {
            dispatcher.serve(queue)
        }
    }
}
