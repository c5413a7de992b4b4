package import Base

/// Names one session for as long as the broker runs.
///
/// A slot, and in the upper half how often it was given away before: there are never more slots in use than
/// sessions were open at once.
package struct SessionID: Hashable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }

    init(slot: Int, generation: UInt32) {
        value = UInt64(generation) << 32 | UInt64(slot)
    }

    package var slot: Int { Int(value & 0xFFFF_FFFF) }
}

/// Names one subscription within its session; rises, never used again there.
package struct SubscriptionID: Hashable, Comparable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// Names one delivery within its session; rises, never used again there.
package struct DeliveryNumber: Hashable, Comparable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// A destination that was looked up once, so that each further use compares an integer.
///
/// A slot, and in the upper half how often it was given away before: a name that is gone and comes
/// again gets another id.
package struct DestinationID: Hashable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }

    init(slot: Int, generation: UInt32) {
        value = UInt64(generation) << 32 | UInt64(slot)
    }

    var slot: Int { Int(value & 0xFFFF_FFFF) }
    var generation: UInt32 { UInt32(value >> 32) }
}

/// What a client wants of a destination.
package enum DestinationUse: Sendable {
    case send
    case subscribe
}

/// Who settles what is delivered, and how far one acknowledgement reaches.
package enum AckMode: Sendable, Equatable {
    /// Settled once written to the socket.
    case auto
    /// An acknowledgement settles all that was delivered to the subscription up to it.
    case cumulative
    /// An acknowledgement settles one delivery.
    case individual
}

/// What a client wants of a subscription.
package struct SubscriptionRequest: Sendable {
    package var mode: AckMode
    /// Credit of its own; nil = the session's shared credit, or what the queue's policy says.
    package var prefetch: Int?
    /// How long a delivery may stay unanswered; nil = as the queue's policy says, zero = for ever.
    package var ackTimeout: Interval?

    package init(mode: AckMode, prefetch: Int? = nil, ackTimeout: Interval? = nil) {
        self.mode = mode
        self.prefetch = prefetch
        self.ackTimeout = ackTimeout
    }
}

/// How a client answers a delivery.
package enum Answer: Sendable, Equatable {
    /// It is done.
    case settle
    /// It goes back to its place.
    case giveBack
    /// Nobody is to get it again: it goes to the dead-letter queue.
    case reject
}

/// Which delivery an ACK or NACK means.
package enum AckTarget: Sendable, Equatable {
    /// By the id of the delivery (STOMP 1.2).
    case delivery(SubscriptionID, DeliveryNumber)
    /// By the message's name, in one subscription (1.1) or in whichever holds it (1.0).
    case message(MessageID, in: SubscriptionID?)
}

/// When the effect of a request holds, and so when its receipt may be sent.
package enum Completion: Sendable, Equatable {
    case done
    case whenDurable(AppendID)
}

/// One message on its way to one subscription.
package struct Delivery: Sendable {
    package let session: SessionID
    package let subscription: SubscriptionID
    /// The id to acknowledge it by; nil for topics, where nothing is owed.
    package let number: DeliveryNumber?
    /// True when writing it to the socket settles it (`auto`); no acknowledgement is expected.
    package let settlesWhenWritten: Bool
    package let id: MessageID
    package let destination: DestinationID
    /// 0 for the first delivery of an entry, then the number of deliveries before this one.
    package let redeliveries: UInt32
    package let message: Message
}

/// What the broker wants done; the server carries effects out in order.
package enum Effect: Sendable {
    case deliver(Delivery)
    /// The session has broken a rule or been dropped: tell the client, then close. The broker keeps
    /// the session until `closeSession`.
    case fail(SessionID, BrokerError)
    /// Stop (true) or resume (false) reading from all senders.
    case holdReading(Bool)
    /// Messages of a queue are to become dead letters and cannot, for this reason; nil: they can again.
    case deadLettersHeld(queue: String, reason: String?)
    /// The store has ended; the process must.
    case storeFailed(String)
}

/// What a client did wrong or cannot have, in words that go to the client.
package struct BrokerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Kinds that a protocol may answer differently.
    package enum Kind: Equatable, Sendable {
        case badDestination
        case notAllowed
        case limitReached
        case refused
        case badTransaction
        case badSubscription
    }

    package let kind: Kind
    /// Says what, where and the limit: "queue /queue/a is full: max_messages = 10".
    package let text: String
    /// Whose right was missing, if it was that.
    package let refusal: AccessRefusal?

    package init(_ kind: Kind, _ text: String, refusal: AccessRefusal? = nil) {
        self.kind = kind
        self.text = text
        self.refusal = refusal
    }

    package var description: String { text }
}
