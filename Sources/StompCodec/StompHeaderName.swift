/// A header name that the broker itself reads or writes, or `other`.
///
/// The parser classifies each name once, as bytes; everything after it compares integers.
package enum StompHeaderName: UInt8, Sendable, CaseIterable {
    case other
    case id, ack, host, login, server
    case receipt, message, version, session, passcode, selector
    case messageID, heartBeat, receiptID
    case destination, transaction, redelivered, subscription, contentType
    case contentLength, acceptVersion, deliveryCount, prefetchCount, activemqPrefetchSize
    case expires, expiration, ackTimeout, requeue, replyTo

    /// The name on the wire; empty for `other`.
    package var text: StaticString {
        switch self {
        case .other: ""
        case .id: "id"
        case .ack: "ack"
        case .host: "host"
        case .login: "login"
        case .server: "server"
        case .receipt: "receipt"
        case .message: "message"
        case .version: "version"
        case .session: "session"
        case .passcode: "passcode"
        case .selector: "selector"
        case .messageID: "message-id"
        case .heartBeat: "heart-beat"
        case .receiptID: "receipt-id"
        case .destination: "destination"
        case .transaction: "transaction"
        case .redelivered: "redelivered"
        case .subscription: "subscription"
        case .contentType: "content-type"
        case .contentLength: "content-length"
        case .acceptVersion: "accept-version"
        case .deliveryCount: "delivery-count"
        case .prefetchCount: "prefetch-count"
        case .activemqPrefetchSize: "activemq.prefetchSize"
        case .expires: "expires"
        case .expiration: "expiration"
        case .ackTimeout: "ack-timeout"
        case .requeue: "requeue"
        case .replyTo: "reply-to"
        }
    }

    /// True for headers of a SEND that are not part of the message: the broker writes its own, or
    /// they concern the sender alone.
    var isOwnedByBroker: Bool {
        switch self {
        case .destination, .receipt, .contentLength, .transaction, .messageID, .subscription,
            .ack, .redelivered, .deliveryCount:
            true
        case .other, .id, .host, .login, .server, .message, .version, .session, .passcode,
            .selector, .heartBeat, .receiptID, .contentType, .acceptVersion, .prefetchCount,
            .activemqPrefetchSize, .expires, .expiration, .ackTimeout, .requeue, .replyTo:
            false
        }
    }

    var bit: UInt32 { 1 << UInt32(rawValue) }

    /// Classifies a header name.
    init(_ span: RawSpan, _ range: Range<Int>) {
        switch range.count {
        case 2: self = .pick(span, range, .id)
        case 3: self = .pick(span, range, .ack)
        case 4: self = .pick(span, range, .host)
        case 5: self = .pick(span, range, .login)
        case 6: self = .pick(span, range, .server)
        case 7:
            self = .pick(span, range, .receipt, .message, .version, .session)
            if self == .other { self = .pick(span, range, .expires, .requeue) }
        case 8: self = .pick(span, range, .passcode, .selector, .replyTo)
        case 10: self = .pick(span, range, .messageID, .heartBeat, .receiptID, .expiration)
        case 11:
            self = .pick(span, range, .destination, .transaction, .redelivered, .ackTimeout)
        case 12: self = .pick(span, range, .subscription, .contentType)
        case 14:
            self = .pick(
                span,
                range,
                .contentLength,
                .acceptVersion,
                .deliveryCount,
                .prefetchCount
            )
        case 21: self = .pick(span, range, .activemqPrefetchSize)
        default: self = .other
        }
    }

    @inline(__always)
    private static func pick(
        _ span: RawSpan,
        _ range: Range<Int>,
        _ first: Self,
        _ second: Self = .other,
        _ third: Self = .other,
        _ fourth: Self = .other
    ) -> Self {
        if span.equals(first.text, in: range) { return first }
        if second != .other, span.equals(second.text, in: range) { return second }
        if third != .other, span.equals(third.text, in: range) { return third }
        if fourth != .other, span.equals(fourth.text, in: range) { return fourth }
        return .other
    }
}
