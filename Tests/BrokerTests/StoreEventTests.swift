import Base
import Broker
import NIOCore
import Testing

@Suite("What the store reports")
struct StoreEventTests {
    @Test("sends are refused with the store's reason while acknowledgements go on")
    func refusedSends() throws {
        let broker = try BrokerHarness {
            var memory = BrokerSettings.QueuePolicy()
            memory.storage = .memory
            $0.queues = [.init(pattern: "/queue/m", isPattern: false, policy: memory)]
            $0.fanouts = [.init(name: "/fanout/f", children: ["/queue/m", "/queue/a"])]
        }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        broker.store.refuseSends("less than 1 GiB free")
        broker.turn()
        for name in ["/queue/a", "/fanout/f"] {
            let failure = error { try broker.send(client, name, "2") }
            #expect(failure?.kind == .refused)
            #expect(failure?.text.contains("less than 1 GiB free") == true)
        }
        #expect(broker.depth("/queue/m") == 0)
        for use in [DestinationUse.send, .subscribe] {
            let failure = error {
                _ = try broker.broker.destination("/queue/new", for: use, of: nil, now: broker.now)
            }
            #expect(failure?.kind == .refused)
        }
        #expect(broker.depth("/queue/new") == -1)
        try broker.send(client, "/queue/m", "2")
        try broker.ack(client, "1")
        #expect(broker.depth("/queue/a") == 0)
        broker.store.refuseSends(nil)
        broker.turn()
        try broker.send(client, "/queue/a", "3")
        #expect(broker.received(client) == ["1", "3"])
    }

    @Test("pressure holds reading once, and lets go once")
    func pressure() throws {
        let broker = try BrokerHarness()
        for isHigh in [true, true, false, false] {
            broker.broker.handle(.pressure(isHigh), now: broker.now)
            broker.turn()
        }
        #expect(broker.holds == [true, false])
    }

    @Test("after a failure nothing is delivered, confirmed or stored")
    func failure() throws {
        let broker = try BrokerHarness(BrokerHarness.grouped)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 1)
        try broker.send(client, "/queue/a", "1", "2")
        broker.storeReports = false
        broker.broker.handle(.durable(upTo: AppendID(99)), now: broker.now)
        let open = try broker.connect()
        _ = try broker.broker.subscribe(
            open,
            to: "/queue/a",
            SubscriptionRequest(mode: .auto),
            now: broker.now
        )
        broker.broker.handle(.failed("fdatasync: I/O error"), now: broker.now)
        broker.broker.handle(.durable(upTo: AppendID(99)), now: broker.now)
        #expect(broker.received(open) == [])
        #expect(broker.storeFailure == "fdatasync: I/O error")
        #expect(try broker.ack(client, "1") == .whenDurable(AppendID(.max)))
        let refusal = error { try broker.send(client, "/queue/a", "3") }
        #expect(refusal?.text.contains("fdatasync: I/O error") == true)
        #expect(broker.received(client) == ["1"])
        broker.disconnect(client)
        broker.disconnect(open)
    }

    @Test("after a failure no transaction commits, nothing is created, not even in memory")
    func failureRefusesAll() throws {
        let broker = try BrokerHarness { $0.queueDefaults.storage = .memory }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        let destination = try broker.broker.destination(
            "/queue/a",
            for: .send,
            of: nil,
            now: broker.now
        )
        broker.store.fail("gone")
        broker.turn()
        #expect(error { try broker.commit(client, "t") }?.kind == .refused)
        let sent = error {
            _ = try broker.broker.send(
                client,
                to: destination,
                Message(text: "2"),
                now: broker.now
            )
        }
        #expect(sent?.kind == .refused)
        let created = error {
            _ = try broker.broker.destination("/queue/b", for: .subscribe, of: nil, now: broker.now)
        }
        #expect(created?.kind == .refused)
        #expect(broker.depth("/queue/a") == 1)
    }

    @Test("a queue with few takers is read little at a time")
    func fetchesGrow() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let texts = (0..<500).map(String.init)
        for text in texts { try broker.send(client, "/queue/a", text) }
        let before = broker.store.fetchCount
        try broker.subscribe(client, "/queue/a", .auto)
        #expect(broker.received(client) == texts)
        #expect(broker.store.fetchCount - before <= 10)
    }

    @Test(
        "what is read from the disk is asked for before the last read is delivered, unless that is much",
        arguments: [(bytes: 1, reads: 2), (bytes: 100_000, reads: 1)]
    )
    func readsAhead(bytes: Int, reads: Int) throws {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.laterFetchOneIn = 1
        let broker = try BrokerHarness(behaviour)
        let client = try broker.connect()
        let texts = (0..<40).map { "\($0) " + String(repeating: ".", count: bytes) }
        for text in texts { try broker.send(client, "/queue/a", text) }
        let subscription = try broker.subscribe(client, "/queue/a", prefetch: 1)
        #expect(broker.received(client) == Array(texts.prefix(1)))
        #expect(broker.store.fetchCount == reads)
        // What was read and nobody took is read again, in its order.
        broker.unsubscribe(client, subscription)
        try broker.subscribe(client, "/queue/a", .auto)
        #expect(broker.received(client) == texts)
    }

    @Test("past the bound on fetched bytes queues go on one message at a time")
    func fetchedBytes() throws {
        let broker = try BrokerHarness { $0.limits.fetchedBytes = 0 }
        let client = try broker.connect()
        let texts = (0..<50).map(String.init)
        for text in texts { try broker.send(client, "/queue/a", text) }
        try broker.subscribe(client, "/queue/a", .auto)
        #expect(broker.received(client) == texts)
        #expect(broker.store.fetchCount >= 50)
    }

    @Test("past the bound on fetched bytes nothing is read ahead")
    func noReadAhead() throws {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.laterFetchOneIn = 1
        let broker = try BrokerHarness(behaviour) { $0.limits.fetchedBytes = 10 }
        let client = try broker.connect()
        for number in 10..<50 { try broker.send(client, "/queue/a", "\(number)") }
        try broker.subscribe(client, "/queue/a", prefetch: 1)
        #expect(broker.received(client) == ["10"])
        #expect(broker.store.fetchCount == 1)
    }

    @Test("a kept message does not pin the buffer it came from")
    func compacting() throws {
        let broker = try BrokerHarness { $0.queueDefaults.storage = .memory }
        let client = try broker.connect()
        let destination = try broker.broker.destination(
            "/queue/a",
            for: .send,
            of: nil,
            now: broker.now
        )
        var received = ByteBufferAllocator().buffer(capacity: 64 << 10)
        received.writeString("a:b\nbody")
        let slice = received.readSlice(length: 4)
        let (headers, body) = (try #require(slice), received)
        _ = try broker.broker.send(
            client,
            to: destination,
            Message(headers: headers, body: body),
            now: broker.now
        )
        try broker.subscribe(client, "/queue/a")
        let delivery = try #require(broker.deliveries(client).first)
        #expect(String(buffer: delivery.message.headers) == "a:b\n")
        #expect(delivery.message.text == "body")
        #expect(delivery.message.body.storageCapacity < 1024)
    }
}
