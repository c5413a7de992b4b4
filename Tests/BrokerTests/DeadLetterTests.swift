import Base
import Broker
import Testing

@Suite("Dead letters and delays")
struct DeadLetterTests {
    private static let stores: [MemoryMessageStore.Behaviour] = {
        var later = BrokerHarness.grouped
        later.laterFetchOneIn = 1
        return [.init(), BrokerHarness.grouped, later]
    }()

    private func harness(
        _ store: MemoryMessageStore.Behaviour = .init(),
        memory: Bool = false,
        _ configure: (inout BrokerSettings.QueuePolicy) -> Void = { _ in }
    ) throws -> BrokerHarness {
        try BrokerHarness(store) { settings in
            settings.queueDefaults.deliveriesMax = 3
            if memory { settings.queueDefaults.storage = .memory }
            configure(&settings.queueDefaults)
        }
    }

    @Test(
        "a message that came back too often becomes a dead letter that says why",
        arguments: stores,
        [false, true]
    )
    func maxDeliveries(store: MemoryMessageStore.Behaviour, memory: Bool) throws {
        let broker = try harness(store, memory: memory)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1", "2")
        for _ in 0..<3 { try broker.nack(client, "1") }
        #expect(broker.received(client) == ["1", "1", "1", "2"])
        #expect(broker.depth("/queue/a") == 1)
        let reader = try broker.connect()
        try broker.subscribe(reader, "/queue/dead")
        let letter = try #require(broker.deliveries(reader).first)
        #expect(letter.message.text == "1")
        #expect(letter.redeliveries == 0)
        #expect(letter.message.header("dead-letter-from") == "/queue/a")
        #expect(letter.message.header("dead-letter-reason") == "max_deliveries")
        #expect(letter.message.header("dead-letter-deliveries") == "3")
        #expect(letter.message.header("dead-letter-time") == "1000")
        #expect(letter.message.header("dead-letter-count") == "1")
        #expect(broker.broker.stats.deadLetters == 1)
        for _ in 0..<9 { try broker.nack(reader, "1") }
        #expect(broker.depth("/queue/dead") == 1, "dead letters have nowhere to go")
    }

    @Test(
        "a rejected message becomes a dead letter at once, also without a subscriber",
        arguments: stores,
        [false, true]
    )
    func rejected(store: MemoryMessageStore.Behaviour, memory: Bool) throws {
        let broker = try harness(store, memory: memory)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .cumulative, prefetch: 9)
        try broker.send(client, "/queue/a", "1", "2", "3")
        broker.storeReports = false
        try broker.nack(client, "2", requeue: false)
        broker.disconnect(client)
        broker.storeReports = true
        broker.turn()
        #expect(broker.depth("/queue/a") == 1)
        #expect(broker.depth("/queue/dead") == 2)
        let reader = try broker.connect()
        try broker.subscribe(reader, "/queue/dead", prefetch: 9)
        let letters = broker.deliveries(reader)
        #expect(letters.map(\.message.text) == ["1", "2"])
        #expect(Set(letters.map { $0.message.header("dead-letter-reason") }) == ["rejected"])
    }

    @Test("a rejected message that was not moved yet is moved after a restart")
    func rejectedBeforeRestart() throws {
        var store = BrokerHarness.grouped
        store.laterFetchOneIn = 1
        let broker = try harness(store)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        #expect(broker.received(client) == ["1"])
        broker.storeReports = false
        try broker.nack(client, "1", requeue: false)
        broker.storeReports = true
        _ = broker.store.takeEvents()
        try broker.restart()
        broker.turn()
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.depth("/queue/dead") == 1)
    }

    @Test("without a dead-letter queue the message is dropped and counted")
    func dropped() throws {
        let broker = try harness { $0.deadLetter = "" }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        try broker.nack(client, "1", requeue: false)
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.depth("/queue/dead") == -1)
        #expect(broker.broker.stats.deadLettersDropped == 1)
    }

    private func brokerWithRoomForOneLetter() throws -> BrokerHarness {
        try BrokerHarness { settings in
            var policy = BrokerSettings.QueuePolicy()
            policy.messagesMax = 1
            settings.queues = [.init(pattern: "/queue/dead", isPattern: false, policy: policy)]
        }
    }

    @Test("while the dead-letter queue is full the message waits and nobody gets it")
    func full() throws {
        let broker = try brokerWithRoomForOneLetter()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1", "2")
        try broker.nack(client, "1", requeue: false)
        try broker.nack(client, "2", requeue: false)
        #expect(broker.depth("/queue/a") == 1)
        #expect(broker.received(client) == ["1", "2"])
        #expect(broker.heldLetters == ["/queue/a: queue /queue/dead is full: max_messages = 1"])
        let reader = try broker.connect()
        try broker.subscribe(reader, "/queue/dead")
        #expect(broker.received(reader) == ["1"])
        try broker.ack(reader, "1")
        broker.advance(milliseconds: 11_000)
        #expect(broker.received(reader) == ["2"])
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.heldLetters.last == "/queue/a: none" && broker.heldLetters.count == 2)
    }

    @Test("the operator is told once that dead letters wait, however often one of them passes")
    func toldOnce() throws {
        let broker = try brokerWithRoomForOneLetter()
        let client = try broker.connect()
        let reader = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 100)
        try broker.subscribe(reader, "/queue/dead")
        for number in 1...9 { try broker.send(client, "/queue/a", "\(number)") }
        for number in 1...9 {
            try broker.nack(client, "\(number)", requeue: false)
            if number % 2 == 0 { try broker.ack(reader, "\(number - 1)") }
        }
        #expect(broker.heldLetters.count == 1)
    }

    @Test("a second death takes the place of the first in the headers, and is counted")
    func twice() throws {
        let broker = try BrokerHarness { settings in
            var policy = BrokerSettings.QueuePolicy()
            policy.deadLetter = "/queue/graveyard"
            settings.queues = [.init(pattern: "/queue/dead", isPattern: false, policy: policy)]
        }
        let client = try broker.connect()
        for name in ["/queue/a", "/queue/dead", "/queue/graveyard"] {
            try broker.subscribe(client, name, prefetch: 1)
        }
        try broker.send(client, "/queue/a", "1")
        try broker.nack(client, "1", requeue: false)
        try broker.nack(client, "1", requeue: false)
        let letter = try #require(broker.deliveries(client).last).message
        #expect(letter.header("dead-letter-from") == "/queue/dead")
        #expect(letter.header("dead-letter-count") == "2")
        #expect(letter.headerLines.count == 5)
    }

    // MARK: Delays

    @Test(
        "a returned message waits longer each time, and others pass it",
        arguments: [false, true]
    )
    func backOff(memory: Bool) throws {
        let broker = try harness(memory: memory) { policy in
            policy.deliveriesMax = 0
            policy.requeueDelays = [.seconds(1), .seconds(5)]
        }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1", "2")
        try broker.nack(client, "1")
        #expect(broker.received(client) == ["1", "2"])
        #expect(broker.depth("/queue/a") == 2)
        try broker.ack(client, "2")
        broker.advance(milliseconds: 900)
        #expect(broker.received(client) == [])
        broker.advance(milliseconds: 200)
        #expect(broker.received(client) == ["1"])
        for _ in 0..<2 {
            try broker.nack(client, "1")
            broker.advance(milliseconds: 4_900)
            #expect(broker.received(client) == [])
            broker.advance(milliseconds: 200)
            #expect(broker.received(client) == ["1"])
        }
    }

    @Test("a delay outlasts a restart, and the client that returned the message")
    func restart() throws {
        let broker = try harness { $0.requeueDelays = [.seconds(60)] }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2", "3")
        try broker.nack(client, "1")
        broker.disconnect(client)
        try broker.restart()
        let other = try broker.connect()
        try broker.subscribe(other, "/queue/a", prefetch: 9)
        #expect(broker.received(other) == [])
        broker.advance(milliseconds: 61_000)
        #expect(broker.deliveries(other).map(\.redeliveries) == [1, 1, 1])
        #expect(broker.depth("/queue/a") == 3)
    }

    @Test("delivery counts outlast a restart")
    func countsAfterRestart() throws {
        let broker = try harness()
        for _ in 0..<3 {
            let client = try broker.connect()
            try broker.subscribe(client, "/queue/a")
            if broker.depth("/queue/a") == 0 { try broker.send(client, "/queue/a", "1") }
            try broker.nack(client, "1")
            try broker.restart()
            broker.turn()
        }
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.depth("/queue/dead") == 1)
    }
}
