package import Base

extension Broker {
    /// Settles a delivery, returns it to its place or rejects it; for a cumulative subscription also all
    /// earlier ones of it.
    ///
    /// Unknown and late targets have no effect and are counted, for at-least-once clients race with
    /// timeouts. Throws only for an unknown transaction or its limits.
    package func answer(
        _ session: SessionID,
        _ target: AckTarget,
        _ answer: Answer,
        transaction: String? = nil,
        now: Instant
    ) throws(BrokerError) -> Completion {
        dispatcher.now = now
        guard let session = sessions.find(session) else {
            dispatcher.stats.lateAcknowledgements += 1
            return .done
        }
        let open = try transaction.map { name throws(BrokerError) in try require(name, of: session)
        }
        guard let (subscription, index) = locate(target, in: session) else {
            dispatcher.stats.lateAcknowledgements += 1
            return .done
        }
        if let open {
            try claim(subscription, index, answer, for: open)
            return .done
        }
        let isPersistent = isPersistent(subscription)
        let wasFree = subscription.isFree
        if answer == .settle {
            settle(subscription, index)
        } else {
            let rows = takeOff(subscription, index)
            // Others may have waited for a message longer than this session has for credit.
            let queues = dispatcher.giveBack(
                rows,
                of: subscription,
                isRejected: answer == .reject
            )
            for queue in queues { dispatcher.serve(queue) }
        }
        if !wasFree { serveAfterRegain(subscription) }
        return isPersistent ? dispatcher.completion : .done
    }

    /// Whether the answer to a row is of interest to the store.
    private func isPersistent(_ subscription: Subscription) -> Bool {
        // Of those with something in flight only one with a pattern has no sole queue.
        subscription.soleQueue?.isPersistent ?? true
    }

    /// Settles what an acknowledgement of one row reaches.
    private func settle(_ subscription: Subscription, _ index: Int) {
        switch subscription.mode {
        case .individual, .auto:
            let row = subscription.inFlight.take(at: index)
            dispatcher.settle(row, of: subscription)
        case .cumulative:
            for row in takeOff(subscription, index) {
                dispatcher.settle(row, of: subscription)
            }
        }
    }

    /// Takes off the rows that an answer to one row reaches.
    private func takeOff(_ subscription: Subscription, _ index: Int) -> [InFlight] {
        switch subscription.mode {
        case .individual, .auto: return [subscription.inFlight.take(at: index)]
        case .cumulative:
            var rows: [InFlight] = []
            subscription.inFlight.takeAll(through: index) { rows.append($0) }
            return rows
        }
    }

    func serveAfterRegain(_ subscription: Subscription) {
        if subscription.usesSharedCredit {
            dispatcher.serve(subscription.session)
        } else {
            dispatcher.serve(subscription)
        }
    }

    /// Settles what `auto` subscriptions were sent up to a delivery, now that it is written.
    func settleWritten(_ session: Session, through number: DeliveryNumber) {
        for subscription in session.subscriptions where subscription.mode == .auto {
            while let row = subscription.inFlight.takeFirst(through: number) {
                dispatcher.settle(row, of: subscription)
            }
        }
    }

    /// Finds the delivery in flight that a client means.
    ///
    /// An `auto` delivery needs no answer, so none reaches it.
    private func locate(
        _ target: AckTarget,
        in session: Session
    ) -> (Subscription, Int)? {
        switch target {
        case .delivery(let id, let number):
            guard let subscription = session.subscription(id), subscription.mode != .auto,
                let index = subscription.inFlight.index(of: number)
            else { return nil }
            return (subscription, index)
        case .message(let message, in: .some(let id)):
            return session.subscription(id).flatMap { locate(message, in: $0) }
        case .message(let message, in: nil):
            for subscription in session.subscriptions {
                if let found = locate(message, in: subscription) { return found }
            }
            return nil
        }
    }

    private func locate(
        _ message: MessageID,
        in subscription: Subscription
    ) -> (Subscription, Int)? {
        guard subscription.mode != .auto, subscription.queue(of: message.queue) != nil,
            let index = subscription.inFlight.index(of: message)
        else { return nil }
        return (subscription, index)
    }
}
