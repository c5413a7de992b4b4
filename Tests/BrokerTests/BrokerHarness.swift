import Base
import Broker
import DequeModule
import NIOCore

/// A broker over a memory store, with verbs for tests.
///
/// Every verb carries out what the broker and the store want done, so that the next line of a test
/// sees the outcome.
///
/// A client is written to at once unless `writesAtOnce` is false. Messages have empty headers, so
/// that their size is the length of their text.
final class BrokerHarness {
    let store: MemoryMessageStore
    private(set) var broker: Broker
    private let settings: BrokerSettings
    var writesAtOnce = true
    /// False while a test wants to see what happens before the store reports.
    var storeReports = true
    private(set) var failures: [SessionID: BrokerError] = [:]
    private(set) var holds: [Bool] = []
    /// Queues whose dead letters wait, with the reason, or go on.
    private(set) var heldLetters: [String] = []
    private(set) var storeFailure: String?
    private var milliseconds: UInt64 = 1_000
    /// How far the wall clock is ahead.
    var wallSkew: UInt64 = 0
    private var tokens = 0
    private var unread: [SessionID: [Delivery]] = [:]
    private var unwritten: [SessionID: [Delivery]] = [:]
    private var last: [SessionID: [String: Delivery]] = [:]

    init(
        _ behaviour: MemoryMessageStore.Behaviour = .init(),
        _ configure: (inout BrokerSettings) -> Void = { _ in }
    ) throws {
        var settings = BrokerSettings()
        configure(&settings)
        self.settings = settings
        store = MemoryMessageStore(behaviour)
        let now = Instant(
            monotonic: MonotonicTime(nanoseconds: 0),
            wall: WallTime(milliseconds: 1_000)
        )
        broker = try Broker(store: store, settings: settings, recovered: [], now: now)
    }

    /// A store that confirms appends in groups when it is asked for its events.
    static var grouped: MemoryMessageStore.Behaviour {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.isDurableAtOnce = false
        return behaviour
    }

    var now: Instant {
        Instant(
            monotonic: MonotonicTime(nanoseconds: milliseconds * 1_000_000),
            wall: WallTime(milliseconds: milliseconds + wallSkew)
        )
    }

    // MARK: Verbs

    /// The address of a temporary queue.
    func temporary(_ session: SessionID, _ name: String) throws -> String {
        try broker.temporaryAddress(
            session,
            name,
            token: {
                tokens += 1
                return "t\(tokens)"
            },
            now: now
        )
    }

    /// Starts another broker on the same store, as after a restart.
    func restart(_ configure: (inout BrokerSettings) -> Void = { _ in }) throws {
        milliseconds += 1_000
        (unread, unwritten, last) = ([:], [:], [:])
        var settings = settings
        configure(&settings)
        broker = try Broker(
            store: store,
            settings: settings,
            recovered: store.recoveredQueues(),
            now: now
        )
    }

    func advance(seconds: UInt64) {
        milliseconds += seconds * 1_000
        broker.tick(now: now)
        turn()
    }

    /// Lets time pass in steps, as the daemon's ticks do.
    func advance(milliseconds count: UInt64) {
        for _ in 0..<count / 10 {
            milliseconds += 10
            guard let next = broker.nextTick, next <= now.monotonic else { continue }
            broker.tick(now: now)
            turn()
        }
    }

    func connect(
        _ identity: Identity = .anybody,
        hasHeartBeats: Bool = false
    ) throws -> SessionID {
        try broker.openSession(identity, hasHeartBeats: hasHeartBeats, now: now)
    }

    func disconnect(_ session: SessionID) {
        broker.closeSession(session, now: now)
        unread[session] = nil
        unwritten[session] = nil
        turn()
    }

    @discardableResult
    func subscribe(
        _ session: SessionID,
        _ name: String,
        _ mode: AckMode = .individual,
        prefetch: Int? = nil,
        ackTimeout: Interval? = nil
    ) throws -> SubscriptionID {
        let id = try broker.subscribe(
            session,
            to: name,
            SubscriptionRequest(mode: mode, prefetch: prefetch, ackTimeout: ackTimeout),
            now: now
        )
        turn()
        return id
    }

    func unsubscribe(_ session: SessionID, _ subscription: SubscriptionID) {
        broker.unsubscribe(session, subscription, now: now)
        turn()
    }

    @discardableResult
    func send(
        _ session: SessionID,
        _ name: String,
        _ texts: String...,
        in transaction: String? = nil,
        expires: UInt64 = 0
    ) throws -> Completion {
        let destination = try broker.destination(name, for: .send, of: session, now: now)
        var completion = Completion.done
        for text in texts {
            completion = try broker.send(
                session,
                to: destination,
                Message(text: text, expires: expires),
                transaction: transaction,
                now: now
            )
        }
        turn()
        return completion
    }

    /// Acknowledges what the session received last under this text.
    @discardableResult
    func ack(
        _ session: SessionID,
        _ text: String,
        in transaction: String? = nil
    ) throws -> Completion {
        defer { turn() }
        return try broker.answer(
            session,
            try target(session, text),
            .settle,
            transaction: transaction,
            now: now
        )
    }

    @discardableResult
    func nack(
        _ session: SessionID,
        _ text: String,
        in transaction: String? = nil,
        requeue: Bool = true
    ) throws -> Completion {
        defer { turn() }
        return try broker.answer(
            session,
            try target(session, text),
            requeue ? .giveBack : .reject,
            transaction: transaction,
            now: now
        )
    }

    func begin(_ session: SessionID, _ name: String) throws {
        try broker.begin(session, name, now: now)
    }

    @discardableResult
    func commit(_ session: SessionID, _ name: String) throws -> Completion {
        defer { turn() }
        return try broker.commit(session, name, now: now)
    }

    func abort(_ session: SessionID, _ name: String) throws {
        try broker.abort(session, name, now: now)
        turn()
    }

    /// Reports all that the session was sent as written.
    func write(_ session: SessionID) {
        guard let deliveries = unwritten.removeValue(forKey: session) else { return }
        broker.written(
            session,
            bytes: deliveries.reduce(0) { $0 + $1.message.footprint },
            through: deliveries.compactMap(\.number).max(),
            now: now
        )
        turn()
    }

    // MARK: What came

    /// Texts that the session received since the last call.
    func received(_ session: SessionID) -> [String] {
        deliveries(session).map { $0.message.text }
    }

    /// Deliveries to the session since the last call.
    func deliveries(_ session: SessionID) -> [Delivery] {
        turn()
        return unread.removeValue(forKey: session) ?? []
    }

    func target(_ session: SessionID, _ text: String) throws -> AckTarget {
        guard let delivery = last[session]?[text], let number = delivery.number else {
            throw BrokerError(.badSubscription, "test: \(text) was not delivered")
        }
        return .delivery(delivery.subscription, number)
    }

    func id(_ session: SessionID, _ text: String) throws -> MessageID {
        guard let delivery = last[session]?[text] else {
            throw BrokerError(.badSubscription, "test: \(text) was not delivered")
        }
        return delivery.id
    }

    func depth(_ name: String) -> Int {
        broker.queueSnapshots().first { $0.name == name }?.messages ?? -1
    }

    /// Carries out effects and store events until nothing more happens.
    func turn() {
        repeat {
            carryOutEffects()
            guard storeReports else { return }
            let events = store.takeEvents()
            guard !events.isEmpty else { return }
            for event in events { broker.handle(event, now: now) }
        } while true
    }

    private func carryOutEffects() {
        var touched: [SessionID] = []
        for effect in broker.takeEffects() {
            switch effect {
            case .deliver(let delivery):
                unread[delivery.session, default: []].append(delivery)
                unwritten[delivery.session, default: []].append(delivery)
                last[delivery.session, default: [:]][delivery.message.text] = delivery
                touched.append(delivery.session)
            case .fail(let session, let error): failures[session] = error
            case .holdReading(let hold): holds.append(hold)
            case .deadLettersHeld(let queue, let reason):
                heldLetters.append("\(queue): \(reason ?? "none")")
            case .storeFailed(let reason): storeFailure = reason
            }
        }
        guard writesAtOnce else { return }
        for session in touched { write(session) }
    }
}

extension Broker {
    /// The effects since the last call, in order.
    func takeEffects() -> [Effect] {
        var effects = UniqueDeque<Effect>()
        takeEffects(into: &effects)
        var taken: [Effect] = []
        while let effect = effects.popFirst() { taken.append(effect) }
        return taken
    }
}

extension Message {
    init(text: String, expires: UInt64 = 0) {
        self.init(headers: ByteBuffer(), body: ByteBuffer(string: text), expires: expires)
    }

    var headerLines: [Substring] { String(buffer: headers).split(separator: "\n") }

    /// The value of the first header of this name.
    func header(_ name: String) -> String? {
        headerLines.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
    }

    var text: String { String(buffer: body) }

    /// What so many messages of two letters count where they wait for a socket.
    static func room(_ count: Int) -> Int { count * (2 + overheadBytes) }
}

/// Says which error a call ends in; nil if none.
func error(_ body: () throws -> Void) -> BrokerError? {
    do {
        try body()
        return nil
    } catch {
        return error as? BrokerError
    }
}
