import Base
import Broker
import Logging
import NIOCore
import NIOPosix
import StompCodec
import Synchronization
import Testing

@testable import Server

/// A broker on a memory store behind a real listener on a free port.
final class TestBroker: Sendable {
    /// What lives on the event loop.
    final class State {
        let store: MemoryMessageStore
        let loop: BrokerLoop
        var isConfirming = true
        var storeFailure: String?

        init(store: MemoryMessageStore, loop: BrokerLoop) {
            self.store = store
            self.loop = loop
        }
    }

    let group: MultiThreadedEventLoopGroup
    let state: NIOLoopBound<State>
    let listener: StompListener
    let port: Int
    /// What was logged.
    let lines = LogLines()

    init(
        options: StompSessionOptions = StompSessionOptions(),
        settings: BrokerSettings = BrokerSettings(),
        access: TestAccess = TestAccess()
    ) async throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let lines = lines
        state = try await eventLoop.submit {
            let state = try Self.makeState(eventLoop, settings, access, lines)
            return NIOLoopBound(state, eventLoop: eventLoop)
        }.get()
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        listener = try await eventLoop.flatSubmit { [state] in
            StompListener.bind(
                state.value.loop,
                to: address,
                options: options,
                budget: SocketBudget(max: 10_000)
            )
        }.get()
        port = try #require(listener.address?.port)
    }

    private static func makeState(
        _ eventLoop: any EventLoop,
        _ settings: BrokerSettings,
        _ access: TestAccess,
        _ lines: LogLines
    ) throws -> State {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.isDurableAtOnce = false
        behaviour.limits = StoreLimits(
            messageBytesMax: 32 << 20,
            entriesPerMessageMax: 16,
            batchBytesMax: 64 << 20
        )
        let store = MemoryMessageStore(behaviour)
        let broker = try Broker(
            store: store,
            settings: settings,
            recovered: [],
            now: SystemClock.now()
        )
        let logger = lines.logger
        weak var box: State?
        let loop = BrokerLoop(
            eventLoop: eventLoop,
            broker: broker,
            store: store,
            logger: logger,
            access: AccessControl(
                access.rules,
                limits: access.limits,
                eventLoop: eventLoop,
                logger: logger,
                waitingMax: access.waitingMax
            ),
            submit: { if let box { confirm(box, eventLoop) } },
            onStoreFailed: { box?.storeFailure = $0 }
        )
        let state = State(store: store, loop: loop)
        box = state
        return state
    }

    /// What a writer thread does, one hop later.
    static func confirm(_ state: State, _ eventLoop: any EventLoop) {
        guard state.isConfirming, state.store.lastAppend > .none else { return }
        eventLoop.assumeIsolated().execute { state.loop.handle(state.store.takeEvents()) }
    }

    /// Runs something on the broker's event loop.
    @discardableResult
    func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (State) throws -> Value
    ) async throws -> Value {
        try await group.next().submit { [state] in try body(state.value) }.get()
    }

    /// Waits for something to end that clients do; a test's time limit is the limit.
    func wait(while condition: @escaping @Sendable (State) throws -> Bool) async throws {
        while try await onLoop(condition) { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Stops or resumes making appends durable.
    func confirm(_ isConfirming: Bool) async throws {
        try await onLoop { state in
            state.isConfirming = isConfirming
            Self.confirm(state, state.loop.eventLoop)
        }
    }

    func handle(_ event: StoreEvent) async throws {
        try await onLoop { $0.loop.handle([event]) }
    }

    func client() async throws -> TestClient { try await TestClient(port: port) }

    /// A client that is connected already.
    func client(_ version: StompVersion) async throws -> TestClient {
        let client = try await client()
        try await client.send("CONNECT\naccept-version:\(version.rawValue)\nhost:h\n\n\0")
        #expect(try await client.next().command == .connected)
        return client
    }

    func shutDown() async throws {
        try await listener.close().get()
        try await group.next().flatSubmit { [state] in state.value.loop.shutDown() }.get()
    }

    func end() async throws {
        try await group.shutdownGracefully()
    }
}

/// Who is let in by a test's broker.
struct TestAccess: Sendable {
    var rules = AccessRules.open
    var limits = AccessControl.ConnectionLimits()
    var waitingMax = 10_000
}

/// Log lines, each with its sorted `key=value` pairs.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    func add(_ line: String) { lines.withLock { $0.append(line) } }

    var all: [String] { lines.withLock { $0 } }

    /// A logger that adds to them.
    var logger: Logger { Logger(label: "test") { _ in LogRecorder(lines: self) } }

    /// The lines that begin with a text.
    func beginning(_ text: String) -> [String] { all.filter { $0.hasPrefix(text) } }
}

/// Keeps what is logged, at all levels.
private struct LogRecorder: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(lines: LogLines) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let pairs = (event.metadata ?? [:]).sorted { $0.key < $1.key }
        lines.add(
            (["\(event.message)"] + pairs.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
        )
    }
}

/// Runs a test against a broker and leaves nothing behind.
func withBroker(
    options: StompSessionOptions = StompSessionOptions(),
    settings: BrokerSettings = BrokerSettings(),
    access: TestAccess = TestAccess(),
    _ body: (TestBroker) async throws -> Void
) async throws {
    let broker = try await TestBroker(options: options, settings: settings, access: access)
    do {
        try await body(broker)
    } catch {
        try await broker.end()
        throw error
    }
    try await broker.end()
}

/// One frame from the broker, taken apart.
struct ReceivedFrame: Sendable {
    var command: StompCommand
    var destination: String?
    var receiptID: String?
    var message: String?
    var subscription: String?
    var messageID: String?
    var ack: String?
    var version: String?
    var deliveryCount: UInt64?
    var body: String

    init(_ frame: StompFrame) {
        command = frame.command
        destination = frame.string(.destination)
        receiptID = frame.string(.receiptID)
        message = frame.string(.message)
        subscription = frame.string(.subscription)
        messageID = frame.string(.messageID)
        ack = frame.string(.ack)
        version = frame.string(.version)
        deliveryCount = frame.integer(.deliveryCount)
        body = String(buffer: frame.body)
    }
}

/// A client on a socket of its own; it sends text and takes the broker's frames one by one.
final class TestClient: Sendable {
    enum Event: Sendable {
        case frame(ReceivedFrame)
        case heartBeat
    }

    struct Closed: Error {}
    struct TimedOut: Error {}

    private final class Inbox: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var parser = StompParser(version: .v12)
        private let events: AsyncStream<Event>.Continuation

        init(_ events: AsyncStream<Event>.Continuation) { self.events = events }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            if bytes.readableBytesView.allSatisfy({ $0 == 10 }) { events.yield(.heartBeat) }
            parser.feed(bytes)
            do {
                while let frame = try parser.next() { events.yield(.frame(ReceivedFrame(frame))) }
            } catch {
                Issue.record("the broker sent what cannot be parsed: \(error)")
            }
        }

        func channelInactive(context: ChannelHandlerContext) { events.finish() }
    }

    let channel: any Channel
    private let events: AsyncStream<Event>

    init(port: Int) async throws {
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        self.events = events
        channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Inbox(continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }

    func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// The next event; nil once the connection is closed.
    func nextEvent() async throws -> Event? {
        try await withThrowingTaskGroup(of: Event?.self) { tasks in
            tasks.addTask { [events] in
                var iterator = events.makeAsyncIterator()
                return await iterator.next()
            }
            tasks.addTask {
                try await Task.sleep(for: .seconds(20))
                throw TimedOut()
            }
            defer { tasks.cancelAll() }
            return try await tasks.next() ?? nil
        }
    }

    /// The next frame, past heart-beats.
    func next() async throws -> ReceivedFrame {
        while let event = try await nextEvent() {
            if case .frame(let frame) = event { return frame }
        }
        throw Closed()
    }

    /// Expects an ERROR with this message, then the end.
    func expectError(_ message: String, receiptID: String? = nil) async throws {
        let frame = try await next()
        #expect(frame.command == .error)
        #expect(frame.message == message)
        #expect(frame.receiptID == receiptID)
        try await expectClosed()
    }

    func expectReceipt(_ id: String) async throws {
        let frame = try await next()
        #expect(frame.command == .receipt)
        #expect(frame.receiptID == id)
    }

    @discardableResult
    func expectMessage(_ body: String) async throws -> ReceivedFrame {
        let frame = try await next()
        #expect(frame.command == .message)
        #expect(frame.body == body)
        return frame
    }

    func expectClosed() async throws {
        while let event = try await nextEvent() {
            if case .frame(let frame) = event { Issue.record("unexpected \(frame)") }
        }
    }

    func close() async throws { try await channel.close() }
}
