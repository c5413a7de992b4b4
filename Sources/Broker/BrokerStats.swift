package import Base

/// Counters of everything that the core counts, since it started.
package struct BrokerStats: Sendable, Equatable {
    /// Messages taken from senders; one for a fan-out, one for each send of a committed transaction.
    package var sends = 0
    /// Sends and commits refused with an error.
    package var sendsRefused = 0
    /// Deliveries from queues, redeliveries among them.
    package var deliveries = 0
    package var redeliveries = 0
    package var topicDeliveries = 0
    /// Entries acknowledged, or written to an `auto` subscription.
    package var settles = 0
    /// Entries that went back to their place: NACK, timeout, unsubscribe, disconnect.
    package var returns = 0
    /// Deliveries that were not answered in time; they are among the returns.
    package var ackTimeouts = 0
    /// Entries that went to a dead-letter queue.
    package var deadLetters = 0
    /// Dead letters dropped, for their queue has no dead-letter queue.
    package var deadLettersDropped = 0
    /// Entries that expired, those that were dead-lettered among them.
    package var expired = 0
    /// ACKs and NACKs whose target was unknown or no longer in flight.
    package var lateAcknowledgements = 0
    /// Entries that a full queue with `drop_oldest` gave up.
    package var queueDrops = 0
    /// Messages that subscribers of topics missed because they did not read.
    package var topicDrops = 0
    /// Entries that were in flight once, came back, and can no longer be read.
    package var unreadableEntries = 0
    /// Destinations that went because nobody used them.
    package var destinationsDeleted = 0
    package var transactionsCommitted = 0
    /// Transactions aborted, refused at commit, too old, or ended by a disconnect.
    package var transactionsUndone = 0

    package init() {}
}

/// One queue at one moment, for logs and tests.
package struct QueueSnapshot: Sendable, Equatable {
    package let id: QueueID
    package let name: String
    /// Messages that are not settled, in flight or not.
    package let messages: Int
    package let bytes: Int
    package let inFlight: Int
    package let subscribers: Int
}
