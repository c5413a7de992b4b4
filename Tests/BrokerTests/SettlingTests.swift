import Base
import Broker
import Testing

@Suite("Acknowledging and returning")
struct SettlingTests {
    @Test("individual settles one delivery, in any order")
    func individual() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 4)
        try broker.send(client, "/queue/a", "1", "2", "3", "4")
        try broker.ack(client, "3")
        #expect(broker.depth("/queue/a") == 3)
        try broker.ack(client, "1")
        try broker.ack(client, "4")
        broker.disconnect(client)
        let other = try broker.connect()
        try broker.subscribe(other, "/queue/a", prefetch: 4)
        #expect(broker.received(other) == ["2"])
    }

    @Test("cumulative settles all of its subscription up to the delivery, and no other's")
    func cumulative() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .cumulative, prefetch: 4)
        try broker.subscribe(client, "/queue/b", .cumulative, prefetch: 4)
        try broker.send(client, "/queue/a", "a1", "a2")
        try broker.send(client, "/queue/b", "b1")
        try broker.send(client, "/queue/a", "a3")
        try broker.ack(client, "a2")
        #expect(broker.depth("/queue/a") == 1)
        #expect(broker.depth("/queue/b") == 1)
        try broker.ack(client, "a1")
        #expect(broker.broker.stats.lateAcknowledgements == 1)
        try broker.ack(client, "a3")
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("a message is acknowledged by its name, in one subscription or in any")
    func byMessage() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let first = try broker.subscribe(client, "/queue/a", prefetch: 4)
        let second = try broker.subscribe(client, "/queue/b", prefetch: 4)
        try broker.send(client, "/queue/a", "a1", "a2")
        let (a1, a2) = (try broker.id(client, "a1"), try broker.id(client, "a2"))
        let core = broker.broker
        _ = try core.answer(client, .message(a2, in: second), .settle, now: broker.now)
        #expect(broker.depth("/queue/a") == 2)
        _ = try core.answer(client, .message(a2, in: first), .settle, now: broker.now)
        #expect(broker.depth("/queue/a") == 1)
        _ = try core.answer(client, .message(a1, in: nil), .settle, now: broker.now)
        #expect(broker.depth("/queue/a") == 0)
        #expect(core.stats.lateAcknowledgements == 1)
    }

    @Test("many in flight are acknowledged by their names from the last to the first")
    func byMessageBackwards() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let subscription = try broker.subscribe(client, "/queue/a", prefetch: 500)
        for number in 0..<200 { try broker.send(client, "/queue/a", "\(number)") }
        // Some come again under a higher number, behind all others.
        for number in stride(from: 0, to: 200, by: 7) { try broker.nack(client, "\(number)") }
        for number in (0..<200).reversed() {
            let target = AckTarget.message(try broker.id(client, "\(number)"), in: subscription)
            _ = try broker.broker.answer(client, target, .settle, now: broker.now)
            #expect(broker.depth("/queue/a") == number)
            _ = try broker.broker.answer(client, target, .settle, now: broker.now)
        }
        #expect(broker.broker.stats.lateAcknowledgements == 200)
    }

    @Test("unknown targets have no effect and are counted")
    func unknownTargets() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let subscription = try broker.subscribe(client, "/queue/a")
        let topic = try broker.subscribe(client, "/topic/t")
        try broker.send(client, "/queue/a", "M1")
        let nowhere = MessageID(queue: QueueID(77), sequence: EntrySequence(1))
        let targets: [AckTarget] = [
            .delivery(subscription, DeliveryNumber(99)), .delivery(topic, DeliveryNumber(1)),
            .delivery(SubscriptionID(99), DeliveryNumber(1)), .message(nowhere, in: nil),
            .message(nowhere, in: subscription),
        ]
        for target in targets {
            #expect(try broker.broker.answer(client, target, .settle, now: broker.now) == .done)
            #expect(try broker.broker.answer(client, target, .giveBack, now: broker.now) == .done)
        }
        #expect(broker.broker.stats.lateAcknowledgements == 2 * targets.count)
        #expect(broker.depth("/queue/a") == 1)
    }

    @Test("a returned message has its own place, its count and its id", arguments: [true, false])
    func returned(persistent: Bool) throws {
        let broker = try BrokerHarness { if !persistent { $0.queueDefaults.storage = .memory } }
        let client = try broker.connect()
        let subscription = try broker.subscribe(client, "/queue/a", prefetch: 3)
        try broker.send(client, "/queue/a", "1", "2", "3", "4", "5")
        let id = try broker.id(client, "2")
        #expect(broker.received(client) == ["1", "2", "3"])
        try broker.nack(client, "2")
        let second = broker.deliveries(client)
        #expect(second.map { $0.message.text } == ["2"])
        #expect(second.map(\.redeliveries) == [1])
        #expect(second.map(\.id) == [id])
        broker.unsubscribe(client, subscription)
        try broker.subscribe(client, "/queue/a", prefetch: 9)
        let third = broker.deliveries(client)
        #expect(third.map { $0.message.text } == ["1", "2", "3", "4", "5"])
        #expect(third.map(\.redeliveries) == [1, 2, 1, 0, 0])
        #expect(broker.broker.stats.redeliveries == 4)
        #expect(broker.broker.stats.returns == 4)
    }

    @Test(
        "what comes back goes to those who waited, before anything newer",
        arguments: [true, false]
    )
    func returnedToWaiting(persistent: Bool) throws {
        let broker = try BrokerHarness { if !persistent { $0.queueDefaults.storage = .memory } }
        let (first, second) = (try broker.connect(), try broker.connect())
        try broker.subscribe(first, "/queue/a", prefetch: 3)
        try broker.send(first, "/queue/a", "1", "2", "3", "4", "5", "6")
        try broker.subscribe(second, "/queue/a", prefetch: 3)
        #expect(broker.received(second) == ["4", "5", "6"])
        try broker.ack(first, "2")
        broker.disconnect(first)
        try broker.send(second, "/queue/a", "7")
        for text in ["4", "5", "6"] { try broker.ack(second, text) }
        #expect(broker.received(second) == ["1", "3", "7"])
    }

    @Test("a NACK reaches as far as an ACK would")
    func cumulativeNack() throws {
        let broker = try BrokerHarness()
        let (first, second) = (try broker.connect(), try broker.connect())
        try broker.subscribe(first, "/queue/a", .cumulative, prefetch: 3)
        try broker.send(first, "/queue/a", "1", "2", "3")
        try broker.subscribe(second, "/queue/a", prefetch: 5)
        try broker.nack(first, "2")
        #expect(broker.received(second) == ["1", "2"])
        #expect(broker.broker.queueSnapshots().map(\.inFlight) == [3])
    }

    @Test("many returns from interleaved subscriptions keep the order", arguments: [true, false])
    func interleavedReturns(persistent: Bool) throws {
        let broker = try BrokerHarness { if !persistent { $0.queueDefaults.storage = .memory } }
        let clients = try (0..<3).map { _ in try broker.connect() }
        for client in clients { try broker.subscribe(client, "/queue/a", prefetch: 40) }
        let texts = (0..<150).map(String.init)
        for text in texts { try broker.send(clients[0], "/queue/a", text) }
        for client in clients { broker.disconnect(client) }
        let last = try broker.connect()
        try broker.subscribe(last, "/queue/a", prefetch: 500)
        #expect(broker.received(last) == texts)
    }

    @Test("acknowledged gaps do not pile up behind one that is never answered")
    func gapsAreClosed() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "stuck")
        for number in 0..<200 {
            try broker.send(client, "/queue/a", "\(number)")
            try broker.ack(client, "\(number)")
        }
        broker.disconnect(client)
        let other = try broker.connect()
        try broker.subscribe(other, "/queue/a", prefetch: 9)
        #expect(broker.deliveries(other).map { $0.message.text } == ["stuck"])
    }

    @Test("entries that cannot be read are passed over and the rest is delivered")
    func damage() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "1", "2", "3", "4")
        let queue = broker.broker.queueSnapshots()[0].id
        broker.store.damage(queue, EntrySequence(2))
        let subscription = try broker.subscribe(client, "/queue/a", prefetch: 9)
        #expect(broker.received(client) == ["1", "3", "4"])
        let other = try broker.connect()
        try broker.subscribe(other, "/queue/a", prefetch: 9)
        broker.store.damage(queue, EntrySequence(3))
        broker.unsubscribe(client, subscription)
        #expect(broker.received(other) == ["1", "4"])
        #expect(broker.broker.stats.unreadableEntries == 1)
    }

    @Test("after a restart every unsettled entry is there, in order and under its old id")
    func restart() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2", "3")
        let id = try broker.id(client, "2")
        try broker.ack(client, "1")
        try broker.restart()
        let again = try broker.connect()
        try broker.subscribe(again, "/queue/a", prefetch: 9)
        let deliveries = broker.deliveries(again)
        #expect(deliveries.map { $0.message.text } == ["2", "3"])
        #expect(deliveries.first?.id == id)
    }

    @Test("names of memory messages do not repeat after a restart")
    func memoryIDs() throws {
        let broker = try BrokerHarness { $0.queueDefaults.storage = .memory }
        var seen: Set<MessageID> = []
        for _ in 0..<3 {
            let client = try broker.connect()
            try broker.subscribe(client, "/queue/a", .auto)
            try broker.subscribe(client, "/topic/a", .auto)
            for name in ["/queue/a", "/topic/a"] { try broker.send(client, name, "x", "y") }
            let ids = broker.deliveries(client).map(\.id)
            #expect(ids.count == 4)
            #expect(ids.allSatisfy { $0.queue.value >= 1 << 31 })
            #expect(seen.isDisjoint(with: ids))
            seen.formUnion(ids)
            try broker.restart()
        }
    }
}
