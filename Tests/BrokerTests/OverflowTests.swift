import Base
import Broker
import Testing

@Suite("Full queues and slow readers")
struct OverflowTests {
    private func harness(
        _ storage: BrokerSettings.Storage,
        messages: Int = 0,
        bytes: Int = 0,
        _ overflow: BrokerSettings.Overflow,
        behaviour: MemoryMessageStore.Behaviour = .init()
    ) throws -> BrokerHarness {
        try BrokerHarness(behaviour) {
            $0.queueDefaults.storage = storage
            $0.queueDefaults.messagesMax = messages
            $0.queueDefaults.bytesMax = bytes
            $0.queueDefaults.overflow = overflow
        }
    }

    @Test(
        "a queue with reject takes what fits and refuses one more",
        arguments: [BrokerSettings.Storage.persistent, .memory]
    )
    func reject(storage: BrokerSettings.Storage) throws {
        let broker = try harness(storage, messages: 2, .reject)
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "1", "2")
        let failure = error { try broker.send(client, "/queue/a", "3") }
        #expect(failure == BrokerError(.limitReached, "queue /queue/a is full: max_messages = 2"))
        try broker.subscribe(client, "/queue/a", prefetch: 9)
        #expect(error { try broker.send(client, "/queue/a", "3") } != nil)
        try broker.ack(client, "1")
        try broker.send(client, "/queue/a", "4")
        #expect(broker.received(client) == ["1", "2", "4"])
        #expect(broker.broker.stats.sendsRefused == 2)
    }

    @Test(
        "the same for bytes",
        arguments: [BrokerSettings.Storage.persistent, .memory]
    )
    func rejectBytes(storage: BrokerSettings.Storage) throws {
        let broker = try harness(storage, bytes: 10, .reject)
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "12345", "1234")
        let failure = error { try broker.send(client, "/queue/a", "12") }
        #expect(failure == BrokerError(.limitReached, "queue /queue/a is full: max_bytes = 10"))
        try broker.send(client, "/queue/a", "1")
        #expect(error { try broker.send(client, "/queue/b", "12345678901") } != nil)
    }

    @Test(
        "drop_oldest makes room, counts, and never takes what is in flight",
        arguments: [BrokerSettings.Storage.persistent, .memory],
        [0, 1]
    )
    func dropOldest(storage: BrokerSettings.Storage, laterFetchOneIn: Int) throws {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.laterFetchOneIn = laterFetchOneIn
        let broker = try harness(storage, messages: 3, .dropOldest, behaviour: behaviour)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        for number in 1...5 { try broker.send(client, "/queue/a", "\(number)") }
        #expect(broker.received(client) == ["1"])
        #expect(broker.depth("/queue/a") == 3)
        #expect(broker.broker.stats.queueDrops == 2)
        try broker.ack(client, "1")
        try broker.ack(client, "4")
        try broker.ack(client, "5")
        #expect(broker.received(client) == ["4", "5"])
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test(
        "drop_oldest drops what came back first, for it is the oldest",
        arguments: [BrokerSettings.Storage.persistent, .memory]
    )
    func dropReturned(storage: BrokerSettings.Storage) throws {
        let broker = try harness(storage, messages: 3, .dropOldest)
        let (first, second) = (try broker.connect(), try broker.connect())
        try broker.subscribe(second, "/queue/a")
        try broker.send(first, "/queue/a", "0")
        try broker.subscribe(first, "/queue/a")
        try broker.send(first, "/queue/a", "1", "2")
        broker.disconnect(first)
        try broker.send(second, "/queue/a", "3")
        try broker.ack(second, "0")
        try broker.ack(second, "2")
        #expect(broker.received(second) == ["0", "2", "3"])
        #expect(broker.broker.stats.queueDrops == 1)
    }

    @Test("a queue that is over its new limit drops what it reads ahead, and what was next with it")
    func dropAhead() throws {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.laterFetchOneIn = 1
        let broker = try BrokerHarness(behaviour)
        let client = try broker.connect()
        let texts = (1...40).map(String.init)
        for text in texts { try broker.send(client, "/queue/a", text) }
        try broker.subscribe(client, "/queue/a", prefetch: 10)
        try broker.send(client, "/queue/a", "last")
        // What comes now is at hand, and more than the queue may hold is in flight.
        broker.store.behaviour.laterFetchOneIn = 0
        var settings = BrokerSettings()
        settings.queueDefaults.overflow = .dropOldest
        settings.queueDefaults.messagesMax = 5
        try broker.broker.apply(settings, now: broker.now)
        for text in texts.prefix(24) { try broker.ack(client, text) }
        #expect(broker.received(client) == Array(texts.prefix(24)))
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.broker.stats.queueDrops == 17)
        try broker.send(client, "/queue/a", "new")
        #expect(broker.received(client).last == "new")
    }

    @Test(
        "drop_oldest holds for dead letters that nobody takes",
        arguments: [BrokerSettings.Storage.persistent, .memory]
    )
    func dropLetters(storage: BrokerSettings.Storage) throws {
        let broker = try harness(storage, messages: 3, .dropOldest)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        for number in 1...6 {
            try broker.send(client, "/queue/a", "\(number)")
            try broker.nack(client, "\(number)", requeue: false)
        }
        #expect(broker.depth("/queue/dead") == 3)
        try broker.subscribe(client, "/queue/dead", .auto)
        #expect(broker.received(client).suffix(3) == ["4", "5", "6"])
    }

    @Test(
        "drop_oldest refuses when all there is is in flight",
        arguments: [BrokerSettings.Storage.persistent, .memory]
    )
    func dropNothing(storage: BrokerSettings.Storage) throws {
        let broker = try harness(storage, messages: 2, .dropOldest)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2")
        #expect(error { try broker.send(client, "/queue/a", "3") }?.kind == .limitReached)
        try broker.ack(client, "2")
        try broker.send(client, "/queue/a", "3")
        #expect(broker.received(client) == ["1", "2", "3"])
        #expect(broker.broker.stats.queueDrops == 0)
    }

    @Test("a memory queue that sets no limit has one")
    func memoryDefault() throws {
        let broker = try harness(.memory, .reject)
        let client = try broker.connect()
        let body = String(repeating: "x", count: 1 << 20)
        for _ in 0..<64 { try broker.send(client, "/queue/a", body) }
        let failure = error { try broker.send(client, "/queue/a", "x") }
        #expect(failure?.text == "queue /queue/a is full: max_bytes = 67108864")
    }

    @Test("a memory queue that sets no number of messages has a limit on it")
    func memoryMessages() throws {
        let broker = try harness(.memory, bytes: 10, .reject)
        let client = try broker.connect()
        for _ in 0..<1024 { try broker.send(client, "/queue/a", "") }
        let failure = error { try broker.send(client, "/queue/a", "") }
        #expect(failure?.text == "queue /queue/a is full: max_messages = 1024")
    }

    @Test("a topic's slow reader misses the oldest, is bounded, and delays nobody")
    func topicDrop() throws {
        let broker = try BrokerHarness {
            $0.topicDefaults.bufferBytes = Message.room(3)
            $0.limits.unwrittenBytes = Message.room(1)
        }
        broker.writesAtOnce = false
        let (slow, quick) = (try broker.connect(), try broker.connect())
        try broker.subscribe(slow, "/topic/a")
        try broker.subscribe(quick, "/topic/a")
        for number in 1...6 {
            try broker.send(quick, "/topic/a", "m\(number)")
            broker.write(quick)
        }
        let long = String(repeating: "x", count: Message.room(3))
        try broker.send(quick, "/topic/a", long)
        broker.write(quick)
        #expect(broker.received(quick) == ["m1", "m2", "m3", "m4", "m5", "m6", long])
        #expect(broker.received(slow) == ["m1"])
        #expect(broker.broker.stats.topicDrops == 3)
        var late: [String] = []
        for _ in 0..<4 {
            broker.write(slow)
            late += broker.received(slow)
        }
        #expect(late == ["m4", "m5", "m6"])
        #expect(broker.failures.isEmpty)
    }

    @Test("a topic that disconnects slow readers tells them why and sends nothing more")
    func topicDisconnect() throws {
        let broker = try BrokerHarness {
            $0.topicDefaults.bufferBytes = Message.room(2)
            $0.topicDefaults.slowConsumer = .disconnect
            $0.limits.unwrittenBytes = Message.room(1)
        }
        broker.writesAtOnce = false
        let (slow, sender) = (try broker.connect(), try broker.connect())
        try broker.subscribe(slow, "/topic/a")
        try broker.subscribe(slow, "/queue/a")
        try broker.send(sender, "/topic/a", "m1", "m2", "m3")
        #expect(broker.failures.isEmpty)
        try broker.send(sender, "/topic/a", "m4", "m5")
        #expect(broker.failures[slow]?.kind == .limitReached)
        #expect(broker.failures[slow]?.text.contains("/topic/a") == true)
        broker.write(slow)
        try broker.send(sender, "/queue/a", "m6")
        #expect(broker.received(slow) == ["m1"])
        broker.disconnect(slow)
        try broker.send(sender, "/topic/a", "m7")
        #expect(broker.broker.stats.topicDeliveries == 1)
    }

    @Test("a fan-out stores one body and every child gets an entry")
    func fanout() throws {
        let broker = try BrokerHarness {
            var memory = BrokerSettings.QueuePolicy()
            memory.storage = .memory
            $0.queues = [.init(pattern: "/queue/m", isPattern: false, policy: memory)]
            $0.fanouts = [
                .init(name: "/fanout/f", children: ["/queue/a", "/queue/m", "/queue/b"])
            ]
        }
        let client = try broker.connect()
        for name in ["a", "m", "b"] { try broker.subscribe(client, "/queue/\(name)", prefetch: 9) }
        try broker.send(client, "/fanout/f", "x")
        let deliveries = broker.deliveries(client)
        #expect(deliveries.map { $0.message.text } == ["x", "x", "x"])
        #expect(
            Set(deliveries.map { broker.broker.name(of: $0.destination) })
                == ["/queue/a", "/queue/m", "/queue/b"]
        )
        #expect(broker.store.bodyCount == 1)
        #expect(broker.broker.stats.sends == 1)
    }

    @Test("a full child refuses the whole message and is named", arguments: ["a", "b", "m"])
    func fanoutFull(full: String) throws {
        let broker = try BrokerHarness {
            for name in ["a", "b", "m"] {
                var policy = BrokerSettings.QueuePolicy()
                policy.storage = name == "m" ? .memory : .persistent
                policy.messagesMax = name == full ? 1 : 0
                $0.queues.append(
                    .init(pattern: "/queue/\(name)", isPattern: false, policy: policy)
                )
            }
            $0.fanouts = [
                .init(name: "/fanout/f", children: ["/queue/a", "/queue/m", "/queue/b"])
            ]
        }
        let client = try broker.connect()
        try broker.send(client, "/fanout/f", "1")
        let failure = error { try broker.send(client, "/fanout/f", "2") }
        #expect(failure?.text == "queue /queue/\(full) is full: max_messages = 1")
        #expect(["a", "b", "m"].map { broker.depth("/queue/\($0)") } == [1, 1, 1])
    }
}
