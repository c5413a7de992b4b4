import Base
import Broker
import Testing

@Suite("Patterns, temporary queues, unused destinations")
struct PatternTests {
    @Test("a pattern covers queues that are there and those that come, in turn, with one credit")
    func queues() throws {
        let broker = try BrokerHarness()
        let (client, sender) = (try broker.connect(), try broker.connect())
        try broker.send(sender, "/queue/a.1", "a1", "a2")
        try broker.send(sender, "/queue/b", "b")
        try broker.subscribe(client, "/queue/a.*", prefetch: 1)
        #expect(broker.received(client) == ["a1"])
        try broker.send(sender, "/queue/a.2", "c1")
        try broker.send(sender, "/queue/a.2.x", "d")
        #expect(broker.received(client) == [])
        try broker.ack(client, "a1")
        try broker.ack(client, "c1")
        try broker.ack(client, "a2")
        #expect(broker.received(client) == ["c1", "a2"])
        #expect(broker.depth("/queue/b") == 1)
        #expect(broker.depth("/queue/a.2.x") == 1)
    }

    @Test("a cumulative answer reaches over all queues of a pattern, a name tells them apart")
    func cumulative() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.send(client, "/queue/a.1", "1")
        try broker.send(client, "/queue/a.2", "2")
        let subscription = try broker.subscribe(client, "/queue/>", .cumulative, prefetch: 9)
        try broker.send(client, "/queue/a.1", "3")
        #expect(broker.received(client) == ["1", "2", "3"])
        let id = try broker.id(client, "2")
        _ = try broker.broker.answer(
            client,
            .message(id, in: subscription),
            .settle,
            now: broker.now
        )
        #expect(broker.depth("/queue/a.1") == 1)
        #expect(broker.depth("/queue/a.2") == 0)
        broker.unsubscribe(client, subscription)
        try broker.subscribe(client, "/queue/a.1", .auto)
        #expect(broker.received(client) == ["3"])
    }

    @Test("a pattern over topics hears the first message of a new one")
    func topics() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let subscription = try broker.subscribe(client, "/topic/a.>", .auto)
        try broker.send(client, "/topic/a.b", "1")
        try broker.send(client, "/topic/a.b.c", "2")
        try broker.send(client, "/topic/a", "3")
        #expect(broker.received(client) == ["1", "2"])
        broker.unsubscribe(client, subscription)
        try broker.send(client, "/topic/a.b", "4")
        try broker.send(client, "/topic/a.new", "5")
        #expect(broker.received(client) == [])
    }

    @Test(
        "malformed patterns are refused",
        arguments: ["/queue/a*", "/queue/>.a", "/queue/a b.*", "/fanout/*", "/fanout/>", "/x/*"]
    )
    func malformed(pattern: String) throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let failure = error { try broker.subscribe(client, pattern) }
        #expect(failure?.kind == .badDestination)
        #expect(failure?.text.contains(pattern) == true)
    }

    @Test(
        "a pattern that covers more than a connection may have is refused, or ends it when they come"
    )
    func limit() throws {
        let broker = try BrokerHarness { $0.limits.feedsPerConnection = 3 }
        let client = try broker.connect()
        for index in 0..<3 { try broker.send(client, "/queue/\(index)", "x") }
        try broker.subscribe(client, "/queue/*", prefetch: 9)
        #expect(error { try broker.subscribe(client, "/queue/>") }?.kind == .limitReached)
        let sender = try broker.connect()
        try broker.send(sender, "/queue/3", "x")
        #expect(broker.failures[client]?.kind == .limitReached)
        #expect(broker.failures[sender] == nil)
    }

    // MARK: Temporary queues

    @Test("a reply reaches the one who asked, and nobody once it is gone")
    func reply() throws {
        let broker = try BrokerHarness()
        let (asker, worker) = (try broker.connect(), try broker.connect())
        let address = try broker.temporary(asker, "/temp-queue/answers")
        #expect(try broker.temporary(asker, "/temp-queue/answers") == address)
        #expect(address.hasPrefix("/temp-queue/@"))
        try broker.subscribe(asker, "/temp-queue/answers", .auto)
        try broker.send(worker, address, "42")
        #expect(broker.received(asker) == ["42"])
        #expect(error { try broker.subscribe(worker, address) }?.kind == .notAllowed)
        broker.disconnect(asker)
        let failure = error { try broker.send(worker, address, "43") }
        #expect(failure?.text.contains("has ended") == true)
        #expect(broker.depth(address) == -1)
    }

    @Test("two clients that choose one name have two queues")
    func sameName() throws {
        let broker = try BrokerHarness()
        let (one, two) = (try broker.connect(), try broker.connect())
        let first = try broker.temporary(one, "/temp-queue/q")
        let second = try broker.temporary(two, "/temp-queue/q")
        #expect(first != second)
        try broker.subscribe(one, "/temp-queue/q", .auto)
        try broker.subscribe(two, "/temp-queue/q", .auto)
        try broker.send(one, second, "x")
        #expect(broker.received(one) == [])
        #expect(broker.received(two) == ["x"])
    }

    @Test("temporary queues of one connection are limited; names like addresses are not taken")
    func temporaryLimit() throws {
        let broker = try BrokerHarness { $0.limits.temporaryQueuesPerConnection = 2 }
        let client = try broker.connect()
        for index in 0..<2 { _ = try broker.temporary(client, "/temp-queue/\(index)") }
        let failure = error { _ = try broker.temporary(client, "/temp-queue/2") }
        #expect(failure?.text.contains("temporary_queues_per_connection = 2") == true)
        let other = try broker.connect()
        #expect(
            error { _ = try broker.temporary(other, "/temp-queue/@x") }?.kind == .badDestination
        )
    }

    // MARK: Unused destinations

    @Test(
        "what was created by being used goes when nobody uses it, and its number is not used again"
    )
    func unused() throws {
        let broker = try BrokerHarness { settings in
            settings.autoDeleteAfter = .seconds(60)
            settings.queues = [.init(pattern: "/queue/declared", isPattern: false, policy: .init())]
        }
        let client = try broker.connect()
        try broker.send(client, "/queue/full", "1")
        try broker.subscribe(client, "/queue/heard", .auto)
        try broker.send(client, "/queue/empty", "1")
        let reader = try broker.connect()
        try broker.subscribe(reader, "/queue/empty", .auto)
        let id = try broker.id(reader, "1")
        broker.disconnect(reader)
        let destination = try broker.broker.destination(
            "/queue/empty",
            for: .send,
            of: nil,
            now: broker.now
        )
        for _ in 0..<70 { broker.advance(seconds: 1) }
        #expect(broker.depth("/queue/empty") == -1)
        #expect(!broker.broker.isAlive(destination))
        #expect(
            error {
                _ = try broker.broker.send(
                    client,
                    to: destination,
                    Message(text: "2"),
                    now: broker.now
                )
            }?.kind == .badDestination
        )
        for name in ["/queue/full", "/queue/heard", "/queue/declared"] {
            #expect(broker.depth(name) >= 0)
        }
        try broker.send(client, "/queue/empty", "1")
        try broker.subscribe(client, "/queue/empty", .auto)
        #expect(broker.received(client) == ["1"])
        #expect(try broker.id(client, "1") != id)
    }

    @Test("a subscription by pattern keeps no queue, and finds it again")
    func unusedUnderPattern() throws {
        let broker = try BrokerHarness { $0.autoDeleteAfter = .seconds(60) }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/>", .auto)
        try broker.send(client, "/queue/a", "1")
        for _ in 0..<130 { broker.advance(seconds: 1) }
        #expect(broker.depth("/queue/a") == -1)
        try broker.send(client, "/queue/a", "2")
        #expect(broker.received(client) == ["1", "2"])
    }
}
