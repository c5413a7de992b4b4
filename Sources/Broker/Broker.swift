package import Base

/// The broker's core: destinations, subscriptions, credit, transactions. A deterministic state
/// machine: calls and the time go in, effects and store appends come out.
///
/// It knows no sockets, threads or protocol words and reads no clock. After a call, or after
/// several, the owner carries out `takeEffects()` in order.
///
/// Confinement: broker loop.
package final class Broker {
    /// Starts a broker on an opened store. Declares the configured persistent queues that are new.
    package init(
        store: any MessageStore, settings: BrokerSettings, recovered: [RecoveredQueue], now: Instant
    ) throws(BrokerError) {
        fatalError("not built yet")
    }

    // MARK: Sessions

    /// Opens a session; fails with `.limitReached` past `limits.connections`.
    package func openSession(now: Instant) throws(BrokerError) -> SessionID { fatalError() }

    /// Ends a session: its deliveries return to their places, its transactions are forgotten, its
    /// subscriptions end. Safe to call once for any session that was opened.
    package func closeSession(_ session: SessionID, now: Instant) { fatalError() }

    /// Reports that deliveries were written to the socket: `bytes` is the sum of their messages'
    /// `byteCount`, `through` the highest delivery number among them, if any had one. Settles `auto`
    /// deliveries and makes room for more.
    package func written(
        _ session: SessionID, bytes: Int, through: DeliveryNumber?, now: Instant
    ) { fatalError() }

    // MARK: Destinations

    /// Looks a name up for a use, creating it where the settings allow; the id holds until the
    /// broker ends.
    ///
    /// Errors name the destination and the setting: no such destination and creation not allowed;
    /// malformed name; a fan-out for subscribing; a wildcard.
    package func destination(
        _ name: String, for use: DestinationUse, now: Instant
    ) throws(BrokerError) -> DestinationID { fatalError() }

    /// The name of a destination, as clients write it (`/queue/a`).
    package func name(of destination: DestinationID) -> String { fatalError() }

    // MARK: Sending

    /// Sends one message, or adds it to an open transaction.
    ///
    /// The completion says when its receipt may be given. Throws when it is refused (full queue, disk
    /// low, too large, unknown transaction); then nothing of it remains.
    package func send(
        _ session: SessionID, to destination: DestinationID, _ message: Message,
        transaction: String? = nil, now: Instant
    ) throws(BrokerError) -> Completion { fatalError() }

    // MARK: Subscriptions

    /// Subscribes to a queue or topic. `prefetch` gives the subscription credit of its own.
    package func subscribe(
        _ session: SessionID, to destination: DestinationID, mode: AckMode, prefetch: Int?,
        now: Instant
    ) throws(BrokerError) -> SubscriptionID { fatalError() }

    /// Ends a subscription; what is in flight on it returns to its place. Unknown ids are ignored.
    package func unsubscribe(
        _ session: SessionID, _ subscription: SubscriptionID, now: Instant
    ) { fatalError() }

    /// Settles a delivery; with `cumulative` also all earlier ones of its subscription.
    ///
    /// Unknown and late targets have no effect and are counted, for at-least-once clients race with
    /// timeouts. Throws only for an unknown transaction or its limits.
    package func acknowledge(
        _ session: SessionID, _ target: AckTarget, transaction: String? = nil, now: Instant
    ) throws(BrokerError) -> Completion { fatalError() }

    /// Returns a delivery to its place, with the same reach and rules as `acknowledge`.
    package func negativeAcknowledge(
        _ session: SessionID, _ target: AckTarget, transaction: String? = nil, now: Instant
    ) throws(BrokerError) -> Completion { fatalError() }

    // MARK: Transactions

    /// Opens a transaction under a name that is free in this session.
    package func begin(
        _ session: SessionID, _ transaction: String, now: Instant
    ) throws(BrokerError) { fatalError() }

    /// Carries out all that the transaction holds as one atomic durable batch, or none of it.
    package func commit(
        _ session: SessionID, _ transaction: String, now: Instant
    ) throws(BrokerError) -> Completion { fatalError() }

    /// Forgets a transaction; what it would have acknowledged stays in flight.
    package func abort(
        _ session: SessionID, _ transaction: String, now: Instant
    ) throws(BrokerError) { fatalError() }

    // MARK: Turns

    /// Takes in what the store reports.
    package func handle(_ event: StoreEvent, now: Instant) { fatalError() }

    /// Does what time alone brings (transactions too old); call about once a second.
    package func tick(now: Instant) { fatalError() }

    /// Hands over the effects since the last call, in order. The array passed in gives its storage
    /// back for reuse.
    package func takeEffects(reusing storage: consuming [Effect] = []) -> [Effect] { fatalError() }
}
