import ByteSpans
import NIOCore

/// The `message-id` of a MESSAGE: `<queue>-<sequence>`, the same at each delivery.
package struct StompMessageID: Equatable, Sendable {
    package var queue: UInt32
    package var sequence: UInt64

    package init(queue: UInt32, sequence: UInt64) {
        self.queue = queue
        self.sequence = sequence
    }
}

/// The `ack` header of a MESSAGE (STOMP 1.2): `<subscription>-<delivery>`, new at each delivery.
package struct StompAckID: Equatable, Sendable {
    package var subscription: UInt64
    package var delivery: UInt64

    package init(subscription: UInt64, delivery: UInt64) {
        self.subscription = subscription
        self.delivery = delivery
    }
}

extension StompFrame {
    /// The `message-id` header, or nil if it is missing or none of the broker's.
    package var messageID: StompMessageID? {
        guard let (queue, sequence) = pair(.messageID), let queue = UInt32(exactly: queue) else {
            return nil
        }
        return StompMessageID(queue: queue, sequence: sequence)
    }

    /// The `id` header as the broker's ack id, or nil if it is missing or none of the broker's.
    package var ackID: StompAckID? {
        guard let (subscription, delivery) = pair(.id) else { return nil }
        return StompAckID(subscription: subscription, delivery: delivery)
    }

    private func pair(_ name: StompHeaderName) -> (UInt64, UInt64)? {
        guard let range = valueRange(name) else { return nil }
        let span = span
        guard let hyphen = span.firstOffset(of: .hyphen, in: range),
            let first = StompInteger.parse(span, range.lowerBound..<hyphen),
            let second = StompInteger.parse(span, hyphen + 1..<range.upperBound)
        else { return nil }
        return (first, second)
    }
}
