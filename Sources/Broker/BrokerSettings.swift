package import Base

/// What the configuration says about destinations; the broker's own copy, in its own words.
package struct BrokerSettings: Sendable, Equatable {
    /// Where a queue keeps its messages.
    package enum Storage: Sendable, Equatable { case persistent, memory }

    /// What happens to a message that a full queue cannot take.
    package enum Overflow: Sendable, Equatable { case reject, dropOldest }

    /// What happens to a topic's subscriber that does not read.
    package enum SlowConsumer: Sendable, Equatable { case drop, disconnect }

    /// How one queue behaves.
    package struct QueuePolicy: Sendable, Equatable {
        package var storage = Storage.persistent
        /// Credit of each subscription to this queue; nil means that the connection's shared credit
        /// (`prefetch` of the settings) holds.
        package var prefetch: Int?
        /// 0 = no limit.
        package var messagesMax = 0
        /// 0 = no limit.
        ///
        /// Memory queues that set none get `memoryQueueBytesDefault`.
        package var bytesMax = 0
        package var overflow = Overflow.reject
        /// How long a delivery may stay unanswered; zero = for ever.
        package var ackTimeout = Interval.seconds(30 * 60)
        /// The same while the client's heart-beats arrive: then the lease is renewed up to this.
        package var ackTimeoutMax = Interval.seconds(12 * 3600)
        /// Deliveries of one entry that come back before it is dead-lettered; 0 = no limit.
        package var deliveriesMax = 20
        /// The queue that dead letters go to; "" = they are dropped and counted.
        package var deadLetter = "/queue/dead"
        /// Whether expired messages go there, too; otherwise they are dropped and counted.
        package var deadLettersExpired = false
        /// How long an entry that came back waits: the first time, the second and so on.
        ///
        /// The last one holds from then on. Empty = it does not wait.
        package var requeueDelays: [Interval] = []
        /// How long a message may wait in the queue; zero = for ever.
        package var timeToLive = Interval.zero

        package init() {}
    }

    /// How one topic behaves.
    package struct TopicPolicy: Sendable, Equatable {
        /// Bytes that may wait for one subscriber; each message counts with
        /// `Message.overheadBytes`.
        package var bufferBytes = 1 << 20
        package var slowConsumer = SlowConsumer.drop

        package init() {}
    }

    /// A policy for one name, or for all that a pattern matches.
    package struct Rule<Policy: Sendable & Equatable>: Sendable, Equatable {
        package var pattern: String
        /// False for an exact name, which is created at start.
        package var isPattern: Bool
        package var policy: Policy

        package init(pattern: String, isPattern: Bool, policy: Policy) {
            self.pattern = pattern
            self.isPattern = isPattern
            self.policy = policy
        }
    }

    /// A fan-out and the queues that each of its messages goes to.
    package struct FanoutRule: Sendable, Equatable {
        package var name: String
        package var children: [String]

        package init(name: String, children: [String]) {
            self.name = name
            self.children = children
        }
    }

    /// Patterns of the names that clients may create by using them.
    package var createAllow = ["/queue/>", "/topic/>"]
    package var queueDefaults = QueuePolicy()
    package var topicDefaults = TopicPolicy()
    package var queues: [Rule<QueuePolicy>] = []
    package var fanouts: [FanoutRule] = []
    package var topics: [Rule<TopicPolicy>] = []
    /// Unacknowledged messages per connection over all its subscriptions that have no credit of
    /// their own.
    package var prefetch = 1
    /// Destinations that were created by being used go when they were empty and unused for so long;
    /// zero = never.
    package var autoDeleteAfter = Interval.seconds(3600)
    package var limits = BrokerLimits()

    package init() {}

    /// `max_bytes` of a memory queue that sets none.
    package static let memoryQueueBytesDefault = 64 << 20

    /// `max_messages` of a memory queue that sets none: what it holds costs memory even when empty.
    package static func memoryQueueMessagesDefault(bytesMax: Int) -> Int {
        max(1024, bytesMax / Message.overheadBytes)
    }
}

/// Bounds on everything that clients can feed into the broker.
package struct BrokerLimits: Sendable, Equatable {
    /// Sessions at once.
    package var connections = 50_000
    /// Enough for any sane client; each costs a few hundred bytes.
    package var subscriptionsPerConnection = 1000
    /// Queues and topics over all subscriptions of a session, which wildcards multiply.
    package var feedsPerConnection = 100_000
    /// Temporary queues of one session.
    package var temporaryQueuesPerConnection = 100
    /// Largest credit that a subscription may ask for; each delivery in flight costs about 64 bytes.
    package var prefetchMax = 65_535
    /// Transactions open at once in one session.
    package var transactionsPerConnection = 16
    package var transactionMessages = 10_000
    package var transactionBytes = 64 << 20
    package var transactionAge = Interval.seconds(300)
    /// Memory of the messages in all open transactions, over all sessions; each message counts with
    /// `Message.overheadBytes`.
    ///
    /// A session alone may have `transactionsPerConnection * transactionBytes`: without this, a few
    /// of them could fill the memory.
    package var openTransactionBytes = 256 << 20
    /// Destinations in all, so that names cannot fill the memory.
    package var destinations = 1_000_000
    /// Bytes of messages delivered to a session and not written to its socket, each counted with
    /// `Message.overheadBytes`; past it nothing more is delivered.
    ///
    /// Enough to keep a fast socket busy for a turn of the loop.
    package var unwrittenBytes = 256 << 10
    /// Bytes of all messages read from the store and not delivered yet; past it queues read one
    /// message at a time.
    package var fetchedBytes = 32 << 20

    package init() {}
}
