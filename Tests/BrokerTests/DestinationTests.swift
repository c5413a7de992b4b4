import Base
import Broker
import Testing

@Suite("Destinations")
struct DestinationTests {
    @Test(
        "malformed names are refused by name",
        arguments: [
            "", "queue", "/queue/", "/queue", "/other/a", "queue/a", "/queue/ä", "/queue/a b",
            "/queue/a\n", "/queue/a*", "/queue/>", "/queue/a.*", "/temp-queue/a",
        ]
    )
    func malformed(name: String) throws {
        let broker = try BrokerHarness()
        for use in [DestinationUse.send, .subscribe] {
            let failure = error {
                _ = try broker.broker.destination(name, for: use, of: nil, now: broker.now)
            }
            #expect(failure?.kind == .badDestination)
            #expect(failure?.text.contains(name) == true)
        }
    }

    @Test("a name of 255 characters is taken, one of 256 is not")
    func length() throws {
        let broker = try BrokerHarness()
        try broker.subscribe(
            try broker.connect(),
            "/queue/" + String(repeating: "x", count: 255)
        )
        let long = "/queue/" + String(repeating: "x", count: 256)
        let failure = error {
            _ = try broker.broker.destination(long, for: .send, of: nil, now: broker.now)
        }
        #expect(failure?.kind == .badDestination)
    }

    @Test("one name is one destination, whatever it is looked up for")
    func interned() throws {
        let broker = try BrokerHarness().broker
        let now = Instant(
            monotonic: MonotonicTime(nanoseconds: 1),
            wall: WallTime(milliseconds: 1)
        )
        let name = "/topic/a-b_c.D:1@x/y"
        let first = try broker.destination(name, for: .send, of: nil, now: now)
        #expect(try broker.destination(name, for: .subscribe, of: nil, now: now) == first)
        #expect(broker.name(of: first) == name)
        #expect(try broker.destination("/queue/a", for: .send, of: nil, now: now) != first)
    }

    @Test(
        "clients create what a pattern covers",
        arguments: [
            ("/queue/*.new", "/queue/a.new", true), ("/queue/*.new", "/queue/a.b.new", false),
            ("/queue/*.new", "/queue/new", false), ("/queue/a.>", "/queue/a.b", true),
            ("/queue/a.>", "/queue/a.b.c", true), ("/queue/a.>", "/queue/a", false),
            ("/queue/a.>", "/queue/ab", false), ("/queue/>", "/topic/a", false),
            ("/queue/a", "/queue/a", true), ("/queue/a", "/queue/a.b", false),
            ("/queue/*", "/queue/a/b", true), ("/topic/*.>", "/topic/a.b", true),
        ]
    )
    func allow(pattern: String, name: String, isAllowed: Bool) throws {
        let broker = try BrokerHarness { $0.createAllow = [pattern] }
        let failure = error {
            _ = try broker.broker.destination(name, for: .send, of: nil, now: broker.now)
        }
        #expect(failure?.kind == (isAllowed ? nil : .notAllowed))
        if let failure { #expect(failure.text.contains("[create] allow")) }
    }

    @Test("the longest pattern gives the policy, an exact name before it")
    func policies() throws {
        let broker = try BrokerHarness {
            func policy(_ messagesMax: Int) -> BrokerSettings.QueuePolicy {
                var policy = BrokerSettings.QueuePolicy()
                policy.messagesMax = messagesMax
                return policy
            }
            $0.queues = [
                .init(pattern: "/queue/>", isPattern: true, policy: policy(1)),
                .init(pattern: "/queue/a.>", isPattern: true, policy: policy(2)),
                .init(pattern: "/queue/a.b", isPattern: false, policy: policy(3)),
            ]
        }
        let client = try broker.connect()
        for (name, limit) in [("/queue/x", 1), ("/queue/a.x", 2), ("/queue/a.b", 3)] {
            for _ in 0..<limit { try broker.send(client, name, "m") }
            let failure = error { try broker.send(client, name, "m") }
            #expect(failure?.text == "queue \(name) is full: max_messages = \(limit)")
        }
    }

    @Test("exact rules are created at start, and no name twice after a restart")
    func createdAtStart() throws {
        let broker = try BrokerHarness {
            $0.createAllow = []
            $0.queues = [.init(pattern: "/queue/a", isPattern: false, policy: .init())]
            $0.fanouts = [.init(name: "/fanout/f", children: ["/queue/a", "/queue/b"])]
        }
        let before = broker.broker.queueSnapshots()
        #expect(before.map(\.name) == ["/queue/a", "/queue/b"])
        try broker.restart()
        #expect(broker.broker.queueSnapshots() == before)
    }

    @Test("a stored queue keeps its policy's limits and may not turn into a memory queue unread")
    func storageChanges() throws {
        let broker = try BrokerHarness()
        try broker.send(try broker.connect(), "/queue/a", "m")
        let failure = error {
            try broker.restart { $0.queueDefaults.storage = .memory }
        }
        #expect(failure?.text.contains("/queue/a") == true)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .auto)
        _ = broker.received(client)
        try broker.restart { $0.queueDefaults.storage = .memory }
        #expect(broker.broker.queueSnapshots().isEmpty)
        try broker.send(try broker.connect(), "/queue/a", "m")
        #expect(broker.broker.queueSnapshots().map(\.id.value) == [1 << 31])
    }

    @Test("fan-outs that cannot be built are refused at start")
    func badFanouts() throws {
        let rules: [(String, [String])] = [
            ("/queue/f", ["/queue/a"]), ("/fanout/f", []), ("/fanout/f", ["/topic/a"]),
            ("/fanout/f", ["/queue/a", "/queue/a"]), ("/fanout/f", ["nonsense"]),
            ("/fanout/f", (0..<17).map { "/queue/\($0)" }),
        ]
        for (name, children) in rules {
            let failure = error {
                _ = try BrokerHarness { $0.fanouts = [.init(name: name, children: children)] }
            }
            #expect(failure != nil, "\(name) \(children)")
        }
        _ = try BrokerHarness {
            $0.fanouts = [.init(name: "/fanout/f", children: (0..<16).map { "/queue/\($0)" })]
        }
    }

    @Test("fan-outs are not created by use, and nobody subscribes to one")
    func fanoutUse() throws {
        let broker = try BrokerHarness {
            $0.fanouts = [.init(name: "/fanout/f", children: ["/queue/a"])]
        }
        let client = try broker.connect()
        #expect(error { try broker.send(client, "/fanout/x", "m") }?.kind == .badDestination)
        let failure = error { try broker.subscribe(client, "/fanout/f") }
        #expect(failure?.kind == .badDestination)
        #expect(failure?.text.contains("/queue/a") == true)
    }

    @Test("destinations, sessions and subscriptions end at their limits, which the errors name")
    func countLimits() throws {
        let broker = try BrokerHarness {
            $0.limits.destinations = 2
            $0.limits.connections = 2
            $0.limits.subscriptionsPerConnection = 2
        }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        let last = try broker.subscribe(client, "/topic/b")
        #expect(
            error { try broker.subscribe(client, "/queue/a") }?.text.contains(
                "subscriptions_per_connection = 2"
            ) == true
        )
        broker.unsubscribe(client, last)
        try broker.subscribe(client, "/queue/a")
        #expect(
            error { try broker.send(client, "/queue/c", "m") }?.text.contains("destinations = 2")
                == true
        )
        let second = try broker.connect()
        #expect(error { _ = try broker.connect() }?.text.contains("connections = 2") == true)
        broker.disconnect(second)
        let third = try broker.connect()
        #expect(third != second)
        #expect(error { try broker.subscribe(second, "/queue/a") }?.kind == .refused)
    }

    @Test("a message of the largest size is taken, one byte more is refused wherever it goes")
    func messageSize() throws {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.limits = StoreLimits(
            messageBytesMax: 10,
            entriesPerMessageMax: 4,
            batchBytesMax: 100
        )
        let broker = try BrokerHarness(behaviour)
        let client = try broker.connect()
        for name in ["/queue/a", "/topic/a"] {
            try broker.send(client, name, "0123456789")
            let failure = error { try broker.send(client, name, "0123456789+") }
            #expect(failure?.kind == .limitReached)
            #expect(failure?.text.contains("takes 10") == true)
        }
    }
}
