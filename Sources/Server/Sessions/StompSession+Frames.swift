import Base
import Broker
import ByteSpans
import NIOCore
import StompCodec

/// What a client did wrong in a frame that is well formed.
struct FrameFault: Error {
    let message: String
    let explanation: String
    var listsVersions = false

    init(_ message: String, _ explanation: String) {
        self.message = message
        self.explanation = explanation
    }

    /// A header is missing that the frame must have.
    static func missing(_ name: StompHeaderName, _ frame: StompFrame) -> FrameFault {
        FrameFault(
            "missing header",
            "A \(frame.command.word) frame must have the header \"\(name.text)\"."
        )
    }
}

/// One client frame each.
extension StompSession {
    /// Does what a frame asks for.
    ///
    /// Faults of the client end the connection.
    func handle(_ frame: StompFrame) {
        do {
            if let session {
                try handle(frame, of: session)
            } else {
                try handleConnect(frame)
            }
        } catch let fault as FrameFault {
            fail(
                fault.message,
                fault.explanation,
                receiptID: frame.rawValue(.receipt),
                listsVersions: fault.listsVersions
            )
        } catch let error as BrokerError {
            fail(error, receiptID: frame.rawValue(.receipt))
        } catch let error as StompError {
            fail(error.message, error.explanation, receiptID: frame.rawValue(.receipt))
        } catch {
            fail("internal error", "\(error)", receiptID: frame.rawValue(.receipt))
        }
    }

    private func handle(_ frame: StompFrame, of session: SessionID) throws {
        switch frame.command {
        case .send: try send(frame, session)
        case .ack: try acknowledge(frame, session, isNegative: false)
        case .nack: try acknowledge(frame, session, isNegative: true)
        case .subscribe: try subscribe(frame, session)
        case .unsubscribe: try unsubscribe(frame, session)
        case .begin:
            try broker.begin(session, try transaction(frame), now: loop.now)
            answer(frame, .done)
        case .commit:
            let completion = try broker.commit(
                session,
                try transaction(frame),
                now: loop.now
            )
            answer(frame, completion)
        case .abort:
            try broker.abort(session, try transaction(frame), now: loop.now)
            answer(frame, .done)
        case .disconnect:
            answer(frame, .done)
            drain()
        case .connect, .stomp:
            throw FrameFault("already connected", "A connection has one CONNECT frame.")
        case .connected, .message, .receipt, .error:
            throw FrameFault("unknown command", "Only brokers send \(frame.command.word).")
        }
    }

    // MARK: Connecting

    private func handleConnect(_ frame: StompFrame) throws {
        guard frame.command == .connect || frame.command == .stomp else {
            throw FrameFault("not connected", "The first frame must be CONNECT or STOMP.")
        }
        let version = try agreeOnVersion(frame.string(.acceptVersion))
        let heartBeat = try frame.string(.heartBeat).map(HeartBeat.init(parsing:)) ?? .none
        beginLogin(frame, version: version, heartBeat: heartBeat)
    }

    /// The version to speak: the highest in common, or the one that a sub-protocol named before.
    private func agreeOnVersion(_ accepted: String?) throws(FrameFault) -> StompVersion {
        if let agreed = agreedVersion {
            guard agreed.isAccepted(by: accepted) else {
                throw FrameFault(
                    "no common version",
                    "The WebSocket's sub-protocol stands for STOMP \(agreed.rawValue), and "
                        + "accept-version does not have it."
                )
            }
            return agreed
        }
        guard let version = StompVersion.negotiate(acceptVersion: accepted) else {
            var fault = FrameFault(
                "no common version",
                "Supported protocol versions are \(StompVersion.supported)."
            )
            fault.listsVersions = true
            throw fault
        }
        return version
    }

    // MARK: Sending

    private func send(_ frame: StompFrame, _ session: SessionID) throws {
        let destination =
            try knownDestination(frame, session) ?? findDestination(frame, session)
        noteSender()
        workspace.headerScratch.clear()
        let message = Message(
            headers: try headerBlock(frame, session),
            body: frame.body,
            expires: try expiry(frame)
        )
        let completion = try broker.send(
            session,
            to: destination,
            message,
            transaction: frame.has(.transaction) ? frame.string(.transaction) : nil,
            now: loop.now
        )
        answer(frame, completion)
    }

    /// The destination of a frame if this connection used it before, or may use every one, and it is
    /// there.
    @inline(__always)
    private func knownDestination(_ frame: StompFrame, _ session: SessionID) -> DestinationID? {
        guard let name = frame.valueSpan(.destination) else { return nil }
        if let known = destinations.find(name) {
            if broker.isAlive(known) { return known }
            destinations.removeAll()
        }
        let known = broker.knownDestination(name, of: session)
        if let known { destinations.note(name, known) }
        return known
    }

    /// When a message expires, in ms since 1970; 0 = never.
    ///
    /// `expires` is absolute, `expiration` relative; 0 means never, as other brokers take it.
    @inline(__always)
    private func expiry(_ frame: StompFrame) throws -> UInt64 {
        guard frame.has(.expires) || frame.has(.expiration) else { return 0 }
        let isAbsolute = frame.has(.expires)
        let name: StompHeaderName = isAbsolute ? .expires : .expiration
        guard let time = frame.integer(name) else {
            throw FrameFault(
                "bad \(name.text)",
                "The header \"\(name.text)\" must be a whole number of milliseconds"
                    + (isAbsolute ? " since 1970." : ".")
            )
        }
        if isAbsolute || time == 0 { return time }
        let (sum, overflow) = loop.now.wall.milliseconds.addingReportingOverflow(time)
        return overflow ? 0 : sum
    }

    /// The headers to keep; a temporary queue in `reply-to` becomes the address that others can send
    /// to.
    @inline(__always)
    private func headerBlock(_ frame: StompFrame, _ session: SessionID) throws -> ByteBuffer {
        guard frame.has(.replyTo), let name = frame.string(.replyTo),
            name.hasPrefix("/temp-queue/"), !name.hasPrefix(Broker.temporaryAddressPrefix)
        else { return frame.canonicalBlock(using: &workspace.headerScratch) }
        let address = try temporaryAddress(name, session)
        if broker.isUnheard(session, name) { try hearReplies(name, session) }
        return frame.canonicalBlock(replacing: .replyTo, with: address)
    }

    private func temporaryAddress(_ name: String, _ session: SessionID) throws -> String {
        try broker.temporaryAddress(session, name, token: Self.makeToken, now: loop.now)
    }

    /// 128 bits that nobody can guess.
    private static func makeToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return String(generator.next(), radix: 36) + "-" + String(generator.next(), radix: 36)
    }

    /// Subscribes a client that asked for replies and has no subscription for them, under the name that
    /// it gave; so clients of RabbitMQ expect it.
    private func hearReplies(_ name: String, _ session: SessionID) throws {
        let key = SubscriptionKey.id(Array(name.utf8))
        guard subscriptions.id(of: key) == nil else { return }
        let subscription = try broker.subscribe(
            session,
            to: name,
            SubscriptionRequest(mode: .auto),
            now: loop.now
        )
        subscriptions.add(
            StompSubscription(
                id: subscription,
                key: key,
                destination: name,
                isAnswered: false,
                clientID: ByteBuffer(string: name),
                isAutomatic: true
            )
        )
    }

    private func findDestination(
        _ frame: StompFrame,
        _ session: SessionID
    ) throws -> DestinationID {
        guard let name = frame.string(.destination), let raw = frame.rawValue(.destination) else {
            throw FrameFault.missing(.destination, frame)
        }
        let destination = try broker.destination(
            name,
            for: .send,
            of: session,
            now: loop.now
        )
        destinations.add(raw.byteSpan, destination)
        return destination
    }

    // MARK: Subscriptions

    private func subscribe(_ frame: StompFrame, _ session: SessionID) throws {
        guard let name = frame.string(.destination) else {
            throw FrameFault.missing(.destination, frame)
        }
        if name.hasPrefix("/temp-queue/") { try prepareReplies(name, session) }
        guard !frame.has(.selector) else {
            throw FrameFault("selector not supported", "This broker has no selectors.")
        }
        guard frame.has(.id) || version == .v10 else { throw FrameFault.missing(.id, frame) }
        let key = subscriptionKey(frame, .id) ?? .destination(name)
        guard subscriptions.id(of: key) == nil else {
            let text = frame.string(.id) ?? name
            throw FrameFault("id in use", "A subscription \"\(text)\" exists already.")
        }
        let mode = try ackMode(frame)
        let subscription = try broker.subscribe(
            session,
            to: name,
            SubscriptionRequest(
                mode: mode,
                prefetch: try prefetch(frame),
                ackTimeout: try ackTimeout(frame)
            ),
            now: loop.now
        )
        let clientID = frame.rawValue(.id).map { ByteBuffer(bytes: $0.readableBytesView) }
        subscriptions.add(
            StompSubscription(
                id: subscription,
                key: key,
                destination: name,
                isAnswered: mode != .auto,
                clientID: clientID
            )
        )
        answer(frame, .done)
    }

    /// Makes a temporary queue that a client subscribes to, and ends the subscription that it got by
    /// itself.
    private func prepareReplies(_ name: String, _ session: SessionID) throws {
        if !name.hasPrefix(Broker.temporaryAddressPrefix) {
            _ = try temporaryAddress(name, session)
        }
        let key = SubscriptionKey.id(Array(name.utf8))
        guard subscriptions.isAutomatic(key), let automatic = subscriptions.remove(key: key) else {
            return
        }
        broker.unsubscribe(session, automatic, now: loop.now)
    }

    /// How long an answer may take, in ms; 0 = for ever.
    private func ackTimeout(_ frame: StompFrame) throws -> Interval? {
        guard frame.has(.ackTimeout) else { return nil }
        guard let time = frame.integer(.ackTimeout), time <= Self.ackTimeoutMax else {
            throw FrameFault(
                "bad ack-timeout",
                "The header \"ack-timeout\" must be a whole number of milliseconds from 0 to "
                    + "\(Self.ackTimeoutMax)."
            )
        }
        return .milliseconds(time)
    }

    /// A year.
    private static let ackTimeoutMax: UInt64 = 366 * 86_400_000

    private func ackMode(_ frame: StompFrame) throws -> AckMode {
        if !frame.has(.ack) || frame.value(.ack, is: "auto") { return .auto }
        if frame.value(.ack, is: "client") { return .cumulative }
        if frame.value(.ack, is: "client-individual") { return .individual }
        throw FrameFault(
            "unknown ack mode",
            "The ack header must be auto, client or client-individual."
        )
    }

    private func prefetch(_ frame: StompFrame) throws -> Int? {
        for name in [StompHeaderName.prefetchCount, .activemqPrefetchSize] where frame.has(name) {
            guard let count = frame.integer(name), count > 0 else {
                throw FrameFault(
                    "bad \(name.text)",
                    "The header \"\(name.text)\" must be a whole number from 1 to 65535."
                )
            }
            return Int(count)
        }
        return nil
    }

    private func unsubscribe(_ frame: StompFrame, _ session: SessionID) throws {
        guard let subscription = subscriptions.remove(key: try endedKey(frame)) else {
            let text = frame.string(.id) ?? frame.string(.destination) ?? ""
            throw FrameFault("no such subscription", "There is no subscription \"\(text)\".")
        }
        broker.unsubscribe(session, subscription, now: loop.now)
        answer(frame, .done)
    }

    /// The subscription that an UNSUBSCRIBE means.
    ///
    /// In STOMP 1.0 the destination will do, also for one that was given an id.
    private func endedKey(_ frame: StompFrame) throws -> SubscriptionKey {
        if let key = subscriptionKey(frame, .id) { return key }
        guard version == .v10, let destination = frame.string(.destination) else {
            throw FrameFault.missing(.id, frame)
        }
        let key = SubscriptionKey.destination(destination)
        if subscriptions.id(of: key) != nil { return key }
        return subscriptions.key(ofDestination: destination) ?? key
    }

    private func subscriptionKey(_ frame: StompFrame, _ name: StompHeaderName) -> SubscriptionKey? {
        frame.unescapedBytes(name).map { .id($0) }
    }

    // MARK: Settling

    private func acknowledge(
        _ frame: StompFrame,
        _ session: SessionID,
        isNegative: Bool
    ) throws {
        if isNegative, version == .v10 {
            throw FrameFault("unknown command", "STOMP 1.0 has no NACK.")
        }
        let name = frame.has(.transaction) ? frame.string(.transaction) : nil
        let now = loop.now
        let target = try ackTarget(frame)
        let reply = isNegative ? try negativeAnswer(frame) : Answer.settle
        let completion = try broker.answer(
            session,
            target,
            reply,
            transaction: name,
            now: now
        )
        answer(frame, completion)
    }

    /// Whether a message that a client does not want goes back to its place.
    private func negativeAnswer(_ frame: StompFrame) throws -> Answer {
        guard frame.has(.requeue) else { return .giveBack }
        if frame.value(.requeue, is: "true") { return .giveBack }
        if frame.value(.requeue, is: "false") { return .reject }
        throw FrameFault("bad requeue", "The header \"requeue\" must be true or false.")
    }

    /// What an ACK or NACK means.
    ///
    /// Ids that are none of ours become a target that never exists: the core counts them as late.
    private func ackTarget(_ frame: StompFrame) throws -> AckTarget {
        if version == .v12 {
            guard frame.has(.id) else { throw FrameFault.missing(.id, frame) }
            let id = frame.ackID ?? StompAckID(subscription: 0, delivery: 0)
            return .delivery(SubscriptionID(id.subscription), DeliveryNumber(id.delivery))
        }
        guard frame.has(.messageID) else { throw FrameFault.missing(.messageID, frame) }
        let id = frame.messageID ?? StompMessageID(queue: .max, sequence: 0)
        let message = MessageID(queue: QueueID(id.queue), sequence: EntrySequence(id.sequence))
        guard let key = subscriptionKey(frame, .subscription) else {
            guard version == .v10 else { throw FrameFault.missing(.subscription, frame) }
            return .message(message, in: nil)
        }
        return .message(message, in: subscriptions.id(of: key) ?? SubscriptionID(0))
    }

    private func transaction(_ frame: StompFrame) throws -> String {
        guard let name = frame.string(.transaction) else {
            throw FrameFault.missing(.transaction, frame)
        }
        return name
    }
}
