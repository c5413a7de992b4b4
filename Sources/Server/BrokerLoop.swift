import Base
package import Broker
import DequeModule
import Logging
package import NIOCore

/// Runs the broker core on one event loop and carries out its effects.
///
/// Work is done in turns. The first activity after the event loop woke opens a turn; the turn ends
/// when everything that was readable has been read. At its end
/// 1. the core's effects are carried out in order: messages go into the connections' outputs;
/// 2. each connection that has output is flushed, once;
/// 3. the store is told to write what was appended in the turn, as one group.
/// So a turn costs one system call per connection and at most one sync, however many frames it holds. The
/// first two are done for a connection also when its own frames were handled (`readDone`), and its answer need
/// not wait for others.
///
/// Confinement: its event loop, including `init`.
package final class BrokerLoop {
    package let eventLoop: any EventLoop
    package let broker: Broker
    let logger: Logger
    /// Who is let in.
    let access: AccessControl
    /// The time at which this turn began.
    private(set) var now: Instant
    /// Parts of frames in use only while one connection's bytes are handled.
    let workspace = Workspace()
    /// Memory of the frames that were not received to their end.
    package let frameMemory = FrameMemory()

    /// For lines that any client can cause.
    private var refusalLines: LineBudget
    /// Of their own, so that other refusals do not hide that somebody tries passcodes.
    private var loginLines: LineBudget
    private static let refusalLinesPerSecond = 20

    private let isolated: NIOIsolatedEventLoop
    private let store: any MessageStore
    private let clock: () -> Instant
    private let submit: () -> Void
    private let onStoreFailed: (String) -> Void
    private var connections: [any BrokerClient] = []
    private var routes: [Route?] = []
    private var changed: [any BrokerClient] = []
    private var flushing: [any BrokerClient] = []
    private var waiting: [any BrokerClient] = []
    private var releasing: [any BrokerClient] = []
    private var effects = UniqueDeque<Effect>()
    private var isTurnOpen = false
    /// A receipt waits for what was appended in this turn.
    private var isAwaited = false
    private(set) var isReadingHeld = false
    private var durable = AppendID.none
    private var nextTick: Scheduled<Void>?
    private var nextTickAt = MonotonicTime(nanoseconds: .max)
    private var lastBrokerTick: MonotonicTime
    private var stopped: EventLoopPromise<Void>?

    /// Rounds of effects and flushes in one turn; then others get their chance to be read.
    private static let roundsMax = 8
    private static let roundsPause = TimeAmount.microseconds(20)
    private static let tickInterval = Interval.milliseconds(500)
    private static let tickIntervalMin = Interval.milliseconds(10)
    private static let brokerTickInterval = Interval.seconds(1)

    /// Where the deliveries of a session go; its place is the session's slot.
    private struct Route {
        let session: SessionID
        let client: any BrokerClient
    }

    /// Takes over a broker.
    ///
    /// `access`: nil lets everybody in. `submit` is called at the end of each turn: the store's driver hands the open group to its
    /// writer. `onStoreFailed` is called when the store has ended; the process must end too.
    init(
        eventLoop: any EventLoop,
        broker: Broker,
        store: any MessageStore,
        logger: Logger,
        access: AccessControl? = nil,
        clock: @escaping () -> Instant = SystemClock.now,
        submit: @escaping () -> Void,
        onStoreFailed: @escaping (String) -> Void
    ) {
        self.eventLoop = eventLoop
        isolated = eventLoop.assumeIsolated()
        self.broker = broker
        self.store = store
        self.logger = logger
        self.access =
            access ?? AccessControl(.open, eventLoop: eventLoop, logger: logger)
        self.clock = clock
        self.submit = submit
        self.onStoreFailed = onStoreFailed
        now = clock()
        lastBrokerTick = now.monotonic
        refusalLines = LineBudget(
            linesPerSecond: Self.refusalLinesPerSecond,
            now: now.monotonic
        )
        loginLines = refusalLines
        scheduleTick(after: Self.tickInterval)
        self.access.whenIdle = { [weak self] in self?.checkStopped() }
    }

    // MARK: Turns

    /// Must come before any call of the core: opens a turn unless one is open.
    @inline(__always)
    func beginTurn() {
        if !isTurnOpen { openTurn() }
    }

    private func openTurn() {
        isTurnOpen = true
        now = clock()
        isolated.execute { self.endTurn() }
    }

    private func endTurn() {
        isTurnOpen = false
        broker.turnEnded()
        var rounds = 0
        while carryOutEffects() || !changed.isEmpty {
            // More came up than one turn should do: let others be read first.
            guard rounds < Self.roundsMax else {
                goOnLater()
                break
            }
            flushChanged()
            rounds += 1
        }
        if isAwaited { store.hasten() }
        isAwaited = false
        submit()
        wakeForBroker()
        checkStopped()
    }

    /// Carries out what the core wants done so far, ahead of the turn's end; call when a connection's frames were
    /// handled, before its output is flushed.
    ///
    /// So a client that waits for the answer to one frame before it sends the next is at work while others are
    /// read. That others bring it more in the same turn is rare: with an acknowledgement come all the messages
    /// that its credit allows.
    func readDone() {
        if isTurnOpen { carryOutEffects() }
    }

    /// Has the next tick come no later than the core wants it.
    private func wakeForBroker() {
        guard let wanted = broker.nextTick, wanted < nextTickAt else { return }
        tickWithin(wanted.since(now.monotonic))
    }

    /// Opens a turn that ends a moment later.
    ///
    /// The event loop looks at its sockets only when no task is due: one that
    /// is due at once would run before anybody else is read.
    private func goOnLater() {
        isTurnOpen = true
        now = clock()
        isolated.scheduleTask(in: Self.roundsPause) { self.endTurn() }
    }

    /// Carries out what the core wants done; false if that was nothing.
    @discardableResult
    private func carryOutEffects() -> Bool {
        broker.takeEffects(into: &effects)
        guard !effects.isEmpty else { return false }
        while let effect = effects.popFirst() {
            switch consume effect {
            case .deliver(let delivery): client(of: delivery.session)?.deliver(delivery)
            case .fail(let session, let error): client(of: session)?.fail(error)
            case .holdReading(let isHeld): holdReading(isHeld)
            case .deadLettersHeld(let queue, let reason): logDeadLetters(queue, reason)
            case .storeFailed(let reason): onStoreFailed(reason)
            }
        }
        return true
    }

    private func flushChanged() {
        // A flush may close a connection, which changes others; they wait for the next round.
        swap(&changed, &flushing)
        for client in flushing { client.flush() }
        flushing.removeAll(keepingCapacity: true)
    }

    private func logDeadLetters(_ queue: String, _ reason: String?) {
        guard let reason else {
            logger.warning("dead letters go on", metadata: [LogKeys.destination: "\(queue)"])
            return
        }
        logger.warning(
            "dead letters wait",
            metadata: [LogKeys.destination: "\(queue)", LogKeys.reason: "\(reason)"]
        )
    }

    private func holdReading(_ isHeld: Bool) {
        isReadingHeld = isHeld
        logger.notice(isHeld ? "senders are held: the store is behind" : "senders go on")
        for client in connections { client.holdReading(isHeld) }
    }

    /// Takes in what the store reports; call on the event loop.
    package func handle(_ events: some Sequence<StoreEvent>) {
        eventLoop.preconditionInEventLoop()
        beginTurn()
        for event in events {
            if case .durable(let append) = event { durable = max(durable, append) }
            broker.handle(event, now: now)
        }
        swap(&waiting, &releasing)
        for client in releasing where client.releaseReceipts(through: durable) {
            waiting.append(client)
        }
        releasing.removeAll(keepingCapacity: true)
    }

    /// Takes changed settings, or throws and keeps the old ones.
    func apply(_ settings: BrokerSettings) throws(BrokerError) {
        beginTurn()
        try broker.apply(settings, now: now)
    }

    /// Takes changed rules of who is let in; returns how many connections were ended by them.
    func apply(_ rules: AccessRules, limits: AccessControl.ConnectionLimits) -> Int {
        beginTurn()
        access.apply(rules, limits: limits)
        return connections.count { $0.recheckAccess() }
    }

    /// Says that a receipt waits for an append to be durable.
    @inline(__always)
    func awaitDurable() { isAwaited = true }

    /// True if an append is durable already.
    func isDurable(_ append: AppendID) -> Bool { append <= durable }

    // MARK: Connections

    package var connectionCount: Int { connections.count }

    /// Notes a connection that was accepted.
    func add(_ client: any BrokerClient) {
        client.connectionIndex = connections.count
        connections.append(client)
    }

    /// Forgets a connection that is closed.
    func remove(_ client: any BrokerClient) {
        let index = client.connectionIndex
        invariant(connections[index] === client, "a connection is removed once")
        connections.swapAt(index, connections.count - 1)
        connections[index].connectionIndex = index
        connections.removeLast()
        waiting.removeAll { $0 === client }
        checkStopped()
    }

    /// Routes the deliveries of a session to a connection.
    func route(_ session: SessionID, to client: any BrokerClient) {
        while routes.count <= session.slot { routes.append(nil) }
        routes[session.slot] = Route(session: session, client: client)
    }

    /// The connection of a session; nil once that was closed.
    @inline(__always)
    func client(of session: SessionID) -> (any BrokerClient)? {
        guard session.slot < routes.count, let route = routes[session.slot],
            route.session.value == session.value
        else { return nil }
        return route.client
    }

    /// Ends a session in the core.
    func close(_ session: SessionID) {
        if client(of: session) != nil { routes[session.slot] = nil }
        broker.closeSession(session, now: now)
    }

    /// Has `flush` called at the end of this turn; call when the first is written into an output.
    func markChanged(_ client: any BrokerClient) { changed.append(client) }

    /// Has receipts released when appends become durable; call when the first begins to wait.
    func markWaiting(_ client: any BrokerClient) { waiting.append(client) }

    // MARK: Time

    /// Makes the next tick come soon enough for a connection.
    func tickWithin(_ interval: Interval) {
        let interval = max(interval, Self.tickIntervalMin)
        if now.monotonic.advanced(by: interval) < nextTickAt { scheduleTick(after: interval) }
    }

    private func scheduleTick(after interval: Interval) {
        nextTick?.cancel()
        nextTickAt = now.monotonic.advanced(by: interval)
        nextTick = isolated.scheduleTask(in: .nanoseconds(Int64(interval.nanoseconds))) {
            self.tick()
        }
    }

    /// Tells the operator that a client was refused, unless that would be a flood of lines; at the
    /// level "debug" always.
    func logRefusal(
        _ message: Logger.Message,
        level: Logger.Level = .info,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        let isTold = logger.logLevel < .info || refusalLines.take(now.monotonic)
        guard isTold else { return }
        logger.log(level: level, message, metadata: metadata())
    }

    /// The same for logins.
    func logLoginRefusal(_ metadata: @autoclosure () -> Logger.Metadata) {
        guard logger.logLevel < .info || loginLines.take(now.monotonic) else { return }
        logger.notice("login refused", metadata: metadata())
    }

    private func logOmittedRefusals() {
        if let count = refusalLines.takeOmitted(now.monotonic) {
            logger.info("more clients refused", metadata: [LogKeys.lines: "\(count)"])
        }
        if let count = loginLines.takeOmitted(now.monotonic) {
            logger.notice("more logins refused", metadata: [LogKeys.lines: "\(count)"])
        }
    }

    private func tick() {
        beginTurn()
        now = clock()
        logOmittedRefusals()
        let isWanted = broker.nextTick.map { $0 <= now.monotonic } ?? false
        if isWanted || now.monotonic.since(lastBrokerTick) >= Self.brokerTickInterval {
            lastBrokerTick = now.monotonic
            broker.tick(now: now)
        }
        var interval = Self.tickInterval
        // From the end, for a connection that closes is replaced by the last one.
        var index = connections.count - 1
        while index >= 0 {
            if index < connections.count { interval = min(interval, connections[index].tick()) }
            index -= 1
        }
        if stopped == nil || !connections.isEmpty {
            scheduleTick(after: max(interval, Self.tickIntervalMin))
        }
    }

    // MARK: The end

    /// Ends all connections after their receipts, and waits until everything appended is durable.
    ///
    /// The listeners must be closed before. Call once, on the event loop.
    package func shutDown() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        invariant(stopped == nil, "the loop is shut down once")
        beginTurn()
        let promise = eventLoop.makePromise(of: Void.self)
        stopped = promise
        for client in connections { client.stop() }
        return promise.futureResult
    }

    /// True from the begin of the shutdown on: nothing new is accepted.
    var isStopping: Bool { stopped != nil }

    private func checkStopped() {
        guard let stopped, connections.isEmpty, !access.isBusy, store.lastAppend <= durable
        else { return }
        nextTick?.cancel()
        stopped.succeed(())
    }
}
