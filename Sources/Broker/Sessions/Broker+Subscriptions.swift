package import Base

extension Broker {
    /// Subscribes to a queue or topic, to all that a pattern covers, or to a temporary queue of the
    /// session's own.
    package func subscribe(
        _ session: SessionID,
        to name: String,
        _ request: SubscriptionRequest,
        now: Instant
    ) throws(BrokerError) -> SubscriptionID {
        try requireStore()
        dispatcher.now = now
        let session = try require(session)
        try check(request, of: session)
        if DestinationName.isPattern(name) {
            let pattern = try DestinationPattern(checking: name)
            guard session.identity.permissions.allowSubscribing(toAll: pattern) else {
                throw .refused(session.identity, .subscribe, name)
            }
            return try subscribe(session, toAll: pattern, request)
        }
        if let temporary = session.temporaries[name] {
            return subscribe(session, to: .queue(temporary.queue), request)
        }
        let destination = try destination(name, for: .subscribe, of: session.id, now: now)
        switch registry[destination] {
        case .queue(let queue):
            if name.hasPrefix(DestinationKind.temporary.prefix),
                !session.temporaries.values.contains(where: { $0.queue === queue })
            {
                throw BrokerError(
                    .notAllowed,
                    "destination \(name) belongs to another connection"
                )
            }
            return subscribe(session, to: .queue(queue), request)
        case .topic(let topic): return subscribe(session, to: .topic(topic), request)
        case .fanout, nil:
            throw BrokerError(.badDestination, "destination \(name): nobody can subscribe")
        }
    }

    private func check(
        _ request: SubscriptionRequest,
        of session: Session
    ) throws(BrokerError) {
        let limits = settings.limits
        guard session.subscriptions.count < limits.subscriptionsPerConnection else {
            throw BrokerError(
                .limitReached,
                "too many subscriptions: subscriptions_per_connection = "
                    + "\(limits.subscriptionsPerConnection)"
            )
        }
        if let prefetch = request.prefetch, !(1...limits.prefetchMax).contains(prefetch) {
            throw BrokerError(
                .limitReached,
                "prefetch \(prefetch): 1 to \(limits.prefetchMax) is possible"
            )
        }
    }

    private func subscribe(
        _ session: Session,
        to source: Feed.Source,
        _ request: SubscriptionRequest
    ) -> SubscriptionID {
        var prefetch = request.prefetch ?? 0
        if request.prefetch == nil, case .queue(let queue) = source {
            prefetch = queue.policy.prefetch ?? 0
        }
        let subscription = Subscription(
            id: session.nextSubscription(),
            session: session,
            request,
            prefetch: prefetch
        )
        session.add(subscription)
        attach(subscription, to: source)
        return subscription.id
    }

    private func subscribe(
        _ session: Session,
        toAll pattern: DestinationPattern,
        _ request: SubscriptionRequest
    ) throws(BrokerError) -> SubscriptionID {
        let sources = registry.all.filter { pattern.matches($0.name) }.compactMap {
            Feed.Source($0.destination)
        }
        try checkFeeds(of: session, adding: sources.count, pattern)
        let subscription = Subscription(
            id: session.nextSubscription(),
            session: session,
            request,
            prefetch: request.prefetch ?? 0,
            pattern: pattern
        )
        session.add(subscription)
        patternSubscriptions.append(subscription)
        for source in sources { attach(subscription, to: source) }
        return subscription.id
    }

    private func checkFeeds(
        of session: Session,
        adding count: Int,
        _ pattern: DestinationPattern
    ) throws(BrokerError) {
        let limit = settings.limits.feedsPerConnection
        guard session.feeds.count + count <= limit else {
            throw BrokerError(
                .limitReached,
                "pattern \(pattern.text): destinations of all subscriptions = \(limit)"
            )
        }
    }

    /// Gives a subscription its place at a queue or topic, and what it may have at once.
    private func attach(_ subscription: Subscription, to source: Feed.Source) {
        let feed = subscription.session.addFeed(to: subscription, source)
        switch source {
        case .queue(let queue):
            queue.subscriberCount += 1
            if subscription.pattern != nil { queue.patternSubscriberCount += 1 }
            dispatcher.serve(subscription)
        case .topic(let topic): topic.add(feed)
        }
    }

    // MARK: Patterns

    /// Gives subscriptions by pattern their places at destinations that were just made.
    func attachCreated() {
        let created = registry.takeCreated()
        if created.isEmpty || patternSubscriptions.isEmpty { return }
        for id in created {
            guard let destination = registry[id], let source = Feed.Source(destination) else {
                continue
            }
            let name = registry.name(of: id)
            for subscription in patternSubscriptions {
                guard let pattern = subscription.pattern, pattern.matches(name),
                    !subscription.isEnded, !subscription.session.isFailed
                else { continue }
                do throws(BrokerError) {
                    try checkFeeds(of: subscription.session, adding: 1, pattern)
                    attach(subscription, to: source)
                } catch {
                    dispatcher.fail(subscription.session, error)
                }
            }
        }
    }

    /// Forgets subscriptions by pattern that have ended.
    func forgetPatterns(_ isEnded: (Subscription) -> Bool) {
        if !patternSubscriptions.isEmpty { patternSubscriptions.removeAll(where: isEnded) }
    }

    /// Deletes destinations that were unused for long.
    func deleteUnused(now: Instant) {
        guard dispatcher.failure == nil, dispatcher.sendsRefused == nil else { return }
        for id in registry.findUnused(for: settings.autoDeleteAfter, now: now) {
            guard !isInTransaction(id), let destination = registry[id] else { continue }
            for subscription in patternSubscriptions {
                for feed in subscription.feeds where feed.source.isSame(as: destination) {
                    detach(feed)
                    subscription.session.remove(feed)
                }
            }
            if case .queue(let queue) = destination { dispatcher.lastSubscriberLeft(queue) }
            registry.delete(id)
            dispatcher.stats.destinationsDeleted += 1
        }
    }

    private func isInTransaction(_ id: DestinationID) -> Bool {
        var isFound = false
        sessions.forEach { session in
            for transaction in session.transactions {
                if transaction.sends.contains(where: { $0.destination == id }) { isFound = true }
            }
        }
        return isFound
    }

    // MARK: Ending

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
        dispatcher.now = now
        let hadCredit = session.hasSharedCredit
        subscription.isEnded = true
        takeBack(subscription)
        passOn(subscription)
        session.remove(subscription)
        if subscription.pattern != nil { forgetPatterns { $0 === subscription } }
        if !hadCredit { dispatcher.serve(session) }
    }

    /// Takes back what an ended subscription holds.
    ///
    /// Delivers nothing.
    func takeBack(_ subscription: Subscription) {
        dispatcher.giveBack(subscription.inFlight.takeAll(), of: subscription)
        for feed in subscription.feeds { detach(feed) }
    }

    private func detach(_ feed: Feed) {
        feed.isEnded = true
        switch feed.source {
        case .queue(let queue):
            queue.subscriberCount -= 1
            if feed.subscription.pattern != nil { queue.patternSubscriberCount -= 1 }
        case .topic(let topic):
            feed.backlog.removeAll()
            topic.remove(feed)
        }
    }

    /// Gives others what an ended subscription held.
    func passOn(_ subscription: Subscription) {
        for feed in subscription.feeds {
            guard case .queue(let queue) = feed.source else { continue }
            if queue.subscriberCount == 0 {
                dispatcher.lastSubscriberLeft(queue)
            } else {
                dispatcher.serve(queue)
            }
        }
    }
}

extension Feed.Source {
    /// Nil for a fan-out, to which nobody subscribes.
    init?(_ destination: Destination) {
        switch destination {
        case .queue(let queue): self = .queue(queue)
        case .topic(let topic): self = .topic(topic)
        case .fanout: return nil
        }
    }

    func isSame(as destination: Destination) -> Bool {
        switch (self, destination) {
        case (.queue(let own), .queue(let other)): own === other
        case (.topic(let own), .topic(let other)): own === other
        default: false
        }
    }
}
