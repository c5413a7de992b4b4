import Base
import Broker
import Testing

@Suite("Changed settings")
struct ReloadTests {
    @Test("limits, leases and times hold for what is there at once")
    func applies() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "1", "2")
        try broker.send(client, "/queue/b", "3")
        var settings = BrokerSettings()
        settings.queueDefaults.messagesMax = 2
        settings.queueDefaults.timeToLive = .seconds(10)
        settings.createAllow = []
        settings.queues = [.init(pattern: "/queue/new", isPattern: false, policy: .init())]
        try broker.broker.apply(settings, now: broker.now)
        #expect(error { try broker.send(client, "/queue/a", "x") }?.kind == .limitReached)
        #expect(error { try broker.send(client, "/queue/c", "x") }?.kind == .notAllowed)
        #expect(broker.depth("/queue/new") == 0)
        broker.advance(milliseconds: 10_100)
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.depth("/queue/b") == 0)
    }

    @Test("settings that cannot be are refused whole")
    func refused() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        var settings = BrokerSettings()
        settings.queueDefaults.messagesMax = 1
        settings.createAllow = ["nonsense"]
        #expect(error { try broker.broker.apply(settings, now: broker.now) } != nil)
        try broker.send(client, "/queue/a", "1", "2")
        #expect(broker.depth("/queue/a") == 2)
    }

    @Test("where a queue keeps its messages does not change", arguments: [true, false])
    func storage(isMemory: Bool) throws {
        let broker = try BrokerHarness {
            $0.queueDefaults.storage = isMemory ? .memory : .persistent
        }
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "1")
        var settings = BrokerSettings()
        settings.queueDefaults.storage = isMemory ? .persistent : .memory
        settings.queueDefaults.timeToLive = .seconds(3)
        try broker.broker.apply(settings, now: broker.now)
        try broker.send(client, "/queue/a", "2")
        try broker.subscribe(client, "/queue/a", prefetch: 5)
        #expect(broker.received(client) == ["1", "2"])
        broker.disconnect(client)
        broker.advance(milliseconds: 3_500)
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("fan-outs get other children, come and go")
    func fanouts() throws {
        let broker = try BrokerHarness {
            $0.fanouts = [
                .init(name: "/fanout/f", children: ["/queue/a", "/queue/b"]),
                .init(name: "/fanout/g", children: ["/queue/a"]),
            ]
        }
        let client = try broker.connect()
        try broker.send(client, "/fanout/f", "1")
        let known = try broker.broker.destination(
            "/fanout/g",
            for: .send,
            of: client,
            now: broker.now
        )
        var settings = BrokerSettings()
        settings.fanouts = [
            .init(name: "/fanout/f", children: ["/queue/b", "/queue/c"]),
            .init(name: "/fanout/h", children: ["/queue/d"]),
        ]
        try broker.broker.apply(settings, now: broker.now)
        try broker.send(client, "/fanout/f", "2")
        try broker.send(client, "/fanout/h", "3")
        #expect(["a", "b", "c", "d"].map { broker.depth("/queue/\($0)") } == [1, 2, 1, 1])
        #expect(!broker.broker.isAlive(known))
        #expect(error { try broker.send(client, "/fanout/g", "x") }?.kind == .badDestination)
    }

    @Test(
        "a fan-out that cannot be leaves all as it was",
        arguments: [["/queue/a", "/queue/a"], []]
    )
    func badFanout(children: [String]) throws {
        let broker = try BrokerHarness {
            $0.fanouts = [.init(name: "/fanout/f", children: ["/queue/a"])]
        }
        var settings = BrokerSettings()
        settings.fanouts = [.init(name: "/fanout/f", children: children)]
        #expect(error { try broker.broker.apply(settings, now: broker.now) } != nil)
        let client = try broker.connect()
        try broker.send(client, "/fanout/f", "1")
        #expect(broker.depth("/queue/a") == 1)
    }
}
