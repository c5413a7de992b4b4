import Base
import Broker
import Testing

@Suite("Expiry")
struct ExpiryTests {
    private static let stores: [MemoryMessageStore.Behaviour] = {
        var later = BrokerHarness.grouped
        later.laterFetchOneIn = 1
        later.shortFetchOneIn = 2
        return [.init(), BrokerHarness.grouped, later]
    }()

    private func harness(
        _ store: MemoryMessageStore.Behaviour = .init(),
        memory: Bool = false,
        _ configure: (inout BrokerSettings.QueuePolicy) -> Void = { _ in }
    ) throws -> BrokerHarness {
        try BrokerHarness(store) { settings in
            if memory { settings.queueDefaults.storage = .memory }
            configure(&settings.queueDefaults)
        }
    }

    @Test(
        "messages expire on time although nobody looks",
        arguments: stores,
        [false, true]
    )
    func unwatched(store: MemoryMessageStore.Behaviour, memory: Bool) throws {
        let broker = try harness(store, memory: memory)
        let client = try broker.connect()
        for index in 0..<300 {
            let expires: UInt64 = index % 3 == 0 ? 3_000 : index % 3 == 1 ? 0 : 5_000
            try broker.send(client, "/queue/a", "\(index)", expires: expires)
        }
        broker.advance(milliseconds: 1_900)
        #expect(broker.depth("/queue/a") == 300)
        broker.advance(milliseconds: 300)
        #expect(broker.depth("/queue/a") == 200)
        broker.advance(milliseconds: 2_000)
        #expect(broker.depth("/queue/a") == 100)
        #expect(broker.broker.stats.expired == 200)
        try broker.subscribe(client, "/queue/a", .auto)
        #expect(broker.received(client) == (0..<300).filter { $0 % 3 == 1 }.map { "\($0)" })
    }

    @Test("a queue's time to live holds for what is in it, also after a restart", arguments: stores)
    func timeToLive(store: MemoryMessageStore.Behaviour) throws {
        let broker = try harness(store) { $0.timeToLive = .seconds(10) }
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "1", "2", "3")
        broker.advance(milliseconds: 5_000)
        try broker.send(client, "/queue/a", "4")
        try broker.restart()
        broker.advance(milliseconds: 4_200)
        #expect(broker.depth("/queue/a") == 1)
        broker.advance(milliseconds: 5_000)
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test(
        "what expires before it was sent is taken, and never delivered",
        arguments: [false, true]
    )
    func stillborn(memory: Bool) throws {
        let broker = try harness(memory: memory)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .auto)
        try broker.subscribe(client, "/topic/t", .auto)
        #expect(try broker.send(client, "/queue/a", "1", expires: 900) == .done)
        try broker.send(client, "/topic/t", "2", expires: 900)
        try broker.send(client, "/queue/a", "3", expires: 1_001)
        #expect(broker.received(client) == ["3"])
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("what expires in a client's hands is still its own, and gone when it comes back")
    func inFlight() throws {
        let broker = try harness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2", "3", expires: 2_000)
        broker.advance(milliseconds: 2_000)
        #expect(broker.depth("/queue/a") == 2)
        try broker.ack(client, "1")
        try broker.nack(client, "2")
        broker.advance(milliseconds: 61_000)
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.received(client) == ["1", "2"])
        #expect(broker.broker.stats.expired == 2)
    }

    @Test("expired messages become dead letters where the queue says so", arguments: stores)
    func deadLetters(store: MemoryMessageStore.Behaviour) throws {
        let broker = try harness(store) { $0.deadLettersExpired = true }
        let client = try broker.connect()
        for index in 0..<200 {
            try broker.send(client, "/queue/a", "\(index)", expires: 2_000 + UInt64(index))
        }
        broker.advance(milliseconds: 2_000)
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.depth("/queue/dead") == 200)
        try broker.subscribe(client, "/queue/dead", .auto)
        let letters = broker.deliveries(client)
        #expect(letters.map(\.message.text) == (0..<200).map { "\($0)" })
        #expect(letters.allSatisfy { $0.message.header("dead-letter-reason") == "expired" })
        #expect(letters.allSatisfy { $0.message.expires == 0 })
    }

    @Test("while the dead-letter queue is full what has expired stays, and goes later")
    func fullDeadLetterQueue() throws {
        let broker = try BrokerHarness { settings in
            settings.queueDefaults.deadLettersExpired = true
            var policy = BrokerSettings.QueuePolicy()
            policy.messagesMax = 2
            settings.queues = [.init(pattern: "/queue/dead", isPattern: false, policy: policy)]
        }
        let client = try broker.connect()
        for index in 0..<4 { try broker.send(client, "/queue/a", "\(index)", expires: 2_000) }
        broker.advance(milliseconds: 3_000)
        #expect(broker.depth("/queue/dead") == 2)
        #expect(broker.depth("/queue/a") == 2)
        try broker.subscribe(client, "/queue/a", prefetch: 9)
        #expect(broker.received(client) == [])
        try broker.subscribe(client, "/queue/dead", .auto)
        broker.advance(milliseconds: 25_000)
        #expect(broker.received(client) == ["0", "1", "2", "3"])
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("a clock that goes back keeps messages no longer than it says")
    func clock() throws {
        let broker = try harness { $0.timeToLive = .seconds(10) }
        let client = try broker.connect()
        broker.wallSkew = 1_000_000
        try broker.send(client, "/queue/a", "1")
        broker.wallSkew = 0
        broker.advance(milliseconds: 20_000)
        #expect(broker.depth("/queue/a") == 1, "by this clock it was sent in the future")
        broker.wallSkew = 1_000_000
        broker.advance(milliseconds: 60_000)
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("many runs of many times take bounded memory and miss nothing")
    func manyTimes() throws {
        let broker = try harness()
        let client = try broker.connect()
        var generator = SeededGenerator(seed: 7)
        var times: [UInt64] = []
        for index in 0..<3_000 {
            let expires = UInt64.random(in: 2_000..<32_000, using: &generator)
            times.append(expires)
            try broker.send(client, "/queue/a", "\(index)", expires: expires)
        }
        for _ in 0..<6 {
            broker.advance(milliseconds: 5_000)
            let left = times.filter { $0 > broker.now.wall.milliseconds }.count
            #expect(broker.depth("/queue/a") - left < 40, "a moment late at most")
        }
        broker.advance(milliseconds: 2_000)
        #expect(broker.depth("/queue/a") == 0)
    }
}
