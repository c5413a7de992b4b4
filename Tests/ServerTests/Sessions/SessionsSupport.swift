import Base
import Broker
import Logging
import NIOCore
import NIOPosix
import StompCodec
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

    init(
        options: StompSessionOptions = StompSessionOptions(),
        settings: BrokerSettings = BrokerSettings()
    ) async throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        state = try await eventLoop.submit {
            try NIOLoopBound(Self.makeState(eventLoop, settings), eventLoop: eventLoop)
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
        _ settings: BrokerSettings
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
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        weak var box: State?
        let loop = BrokerLoop(
            eventLoop: eventLoop,
            broker: broker,
            store: store,
            logger: logger,
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

/// Runs a test against a broker and leaves nothing behind.
func withBroker(
    options: StompSessionOptions = StompSessionOptions(),
    settings: BrokerSettings = BrokerSettings(),
    _ body: (TestBroker) async throws -> Void
) async throws {
    let broker = try await TestBroker(options: options, settings: settings)
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
