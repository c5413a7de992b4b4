package import Base

extension Broker {
    /// Settles a delivery; with `cumulative` also all earlier ones of its subscription.
    ///
    /// Unknown and late targets have no effect and are counted, for at-least-once clients race with
    /// timeouts. Throws only for an unknown transaction or its limits.
    package func acknowledge(
        _ session: SessionID,
        _ target: AckTarget,
        transaction: String? = nil,
        now: Instant
    ) throws(BrokerError) -> Completion {
        try settle(session, target, isReturn: false, transaction)
    }

    /// Returns a delivery to its place, with the same reach and rules as `acknowledge`.
    package func negativeAcknowledge(
        _ session: SessionID,
        _ target: AckTarget,
        transaction: String? = nil,
        now: Instant
    ) throws(BrokerError) -> Completion {
        try settle(session, target, isReturn: true, transaction)
    }

    private func settle(
        _ session: SessionID,
        _ target: AckTarget,
        isReturn: Bool,
        _ transaction: String?
    ) throws(BrokerError) -> Completion {
        guard let session = sessions.find(session) else {
            dispatcher.stats.lateAcknowledgements += 1
            return .done
        }
        let open = try transaction.map { name throws(BrokerError) in try require(name, of: session)
        }
        guard let (subscription, index) = locate(target, in: session),
            case .queue(let queue) = subscription.source
        else {
            dispatcher.stats.lateAcknowledgements += 1
            return .done
        }
        if let open {
            try claim(subscription, index, isReturn: isReturn, for: open)
            return .done
        }
        let wasFree = subscription.isFree
        if isReturn {
            dispatcher.giveBack(takeOff(subscription, index), of: subscription, queue)
            // Others may have waited for a message longer than this session has for credit.
            dispatcher.serve(queue)
        } else {
            settle(subscription, index, queue)
        }
        if !wasFree { serveAfterRegain(subscription) }
        return queue.isPersistent ? dispatcher.completion : .done
    }

    /// Settles what an acknowledgement of one row reaches.
    private func settle(_ subscription: Subscription, _ index: Int, _ queue: Queue) {
        switch subscription.mode {
        case .individual, .auto:
            let row = subscription.inFlight.take(at: index)
            dispatcher.settle(row, of: subscription, queue)
        case .cumulative:
            for row in takeOff(subscription, index) {
                dispatcher.settle(row, of: subscription, queue)
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
            guard case .queue(let queue) = subscription.source else { continue }
            while let row = subscription.inFlight.takeFirst(through: number) {
                dispatcher.settle(row, of: subscription, queue)
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
        guard case .queue(let queue) = subscription.source, queue.id == message.queue,
            subscription.mode != .auto,
            let index = subscription.inFlight.index(of: message.sequence)
        else { return nil }
        return (subscription, index)
    }
}
