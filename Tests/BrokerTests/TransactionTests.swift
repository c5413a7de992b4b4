import Base
import Broker
import Testing

@Suite("Transactions")
struct TransactionTests {
    @Test("a commit is one batch: sends appear, acknowledged messages are gone, returned ones come")
    func commit() throws {
        let broker = try BrokerHarness(BrokerHarness.grouped)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/in", prefetch: 2)
        try broker.subscribe(client, "/queue/out", prefetch: 9)
        try broker.send(client, "/queue/in", "1", "2")
        _ = broker.received(client)
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.nack(client, "2", in: "t")
        #expect(try broker.send(client, "/queue/out", "3", "4", in: "t") == .done)
        #expect(broker.received(client) == [])
        #expect(broker.depth("/queue/in") == 2)
        #expect(broker.depth("/queue/out") == 0)
        guard case .whenDurable = try broker.commit(client, "t") else {
            Issue.record("the receipt of the commit must wait")
            return
        }
        #expect(broker.store.batchCount == 1)
        #expect(Set(broker.received(client)) == ["2", "3", "4"])
        #expect(broker.depth("/queue/in") == 1)
        #expect(broker.broker.stats.transactionsCommitted == 1)
    }

    @Test("memory queues, fan-outs and topics take part in a commit")
    func commitEverywhere() throws {
        let broker = try BrokerHarness {
            var memory = BrokerSettings.QueuePolicy()
            memory.storage = .memory
            $0.queues = [.init(pattern: "/queue/m", isPattern: false, policy: memory)]
            $0.fanouts = [.init(name: "/fanout/f", children: ["/queue/a", "/queue/m"])]
        }
        let client = try broker.connect()
        for name in ["/queue/a", "/queue/m", "/topic/t"] {
            try broker.subscribe(client, name, prefetch: 9)
        }
        try broker.begin(client, "t")
        try broker.send(client, "/topic/t", "1", in: "t")
        try broker.send(client, "/fanout/f", "2", in: "t")
        try broker.send(client, "/queue/m", "3", in: "t")
        #expect(broker.received(client) == [])
        try broker.commit(client, "t")
        #expect(broker.received(client).sorted() == ["1", "2", "2", "3"])
        try broker.begin(client, "t")
        try broker.ack(client, "3", in: "t")
        #expect(try broker.commit(client, "t") == .done)
        #expect(broker.depth("/queue/m") == 1)
    }

    @Test("an abort leaves everything as it was, and deliveries can be answered again")
    func abort() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.send(client, "/queue/a", "3", in: "t")
        try broker.abort(client, "t")
        #expect(broker.depth("/queue/a") == 2)
        #expect(error { try broker.commit(client, "t") }?.kind == .badTransaction)
        try broker.ack(client, "1")
        #expect(broker.depth("/queue/a") == 1)
    }

    @Test("what a transaction claims is out of reach of every other answer")
    func claims() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .cumulative, prefetch: 4)
        try broker.send(client, "/queue/a", "1", "2", "3", "4")
        try broker.begin(client, "t")
        try broker.begin(client, "u")
        try broker.ack(client, "2", in: "t")
        try broker.ack(client, "2", in: "u")
        try broker.nack(client, "1")
        #expect(broker.broker.stats.lateAcknowledgements == 2)
        try broker.ack(client, "3")
        #expect(broker.depth("/queue/a") == 3)
        try broker.abort(client, "t")
        try broker.ack(client, "4")
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("a disconnect ends open transactions and returns what they claimed")
    func disconnect() throws {
        let broker = try BrokerHarness()
        let (client, other) = (try broker.connect(), try broker.connect())
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.send(client, "/queue/a", "3", in: "t")
        broker.disconnect(client)
        try broker.subscribe(other, "/queue/a", prefetch: 9)
        #expect(broker.received(other) == ["1", "2"])
        #expect(broker.broker.stats.transactionsUndone == 1)
    }

    @Test("after an unsubscribe the commit does the rest and counts a late answer")
    func unsubscribed() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        let subscription = try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.send(client, "/queue/b", "2", in: "t")
        broker.unsubscribe(client, subscription)
        try broker.commit(client, "t")
        #expect(broker.depth("/queue/a") == 1)
        #expect(broker.depth("/queue/b") == 1)
        #expect(broker.broker.stats.lateAcknowledgements == 1)
    }

    @Test("credit comes back at the commit, and the next message with it")
    func credit() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1", "2")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        #expect(broker.received(client) == ["1"])
        try broker.commit(client, "t")
        #expect(broker.received(client) == ["2"])
    }

    @Test("names: no second BEGIN, none that is not open, each session its own")
    func names() throws {
        let broker = try BrokerHarness()
        let (first, second) = (try broker.connect(), try broker.connect())
        try broker.begin(first, "t")
        #expect(error { try broker.begin(first, "t") }?.kind == .badTransaction)
        try broker.begin(second, "t")
        #expect(error { try broker.send(first, "/queue/a", "m", in: "x") }?.kind == .badTransaction)
        try broker.commit(first, "t")
        #expect(error { try broker.abort(first, "t") }?.kind == .badTransaction)
        try broker.begin(first, "t")
    }

    @Test(
        "a queue that is full for one of the messages refuses them all",
        arguments: [true, false]
    )
    func allOrNothing(persistent: Bool) throws {
        let broker = try BrokerHarness {
            var policy = BrokerSettings.QueuePolicy()
            policy.storage = persistent ? .persistent : .memory
            policy.messagesMax = 2
            $0.queues = [.init(pattern: "/queue/full", isPattern: false, policy: policy)]
        }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/in")
        try broker.send(client, "/queue/in", "i")
        for (count, isTaken) in [(3, false), (2, true)] {
            try broker.begin(client, "t")
            try broker.ack(client, "i", in: "t")
            try broker.send(client, "/queue/free", "m", in: "t")
            for _ in 0..<count { try broker.send(client, "/queue/full", "m", in: "t") }
            let failure = error { try broker.commit(client, "t") }
            let text = isTaken ? nil : "queue /queue/full is full: max_messages = 2"
            #expect(failure?.text == text)
            #expect(broker.depth("/queue/in") == (isTaken ? 0 : 1))
            #expect(broker.depth("/queue/free") == (isTaken ? 1 : 0))
            #expect(broker.depth("/queue/full") == (isTaken ? 2 : 0))
        }
    }

    @Test("an acknowledgement in the same transaction makes room in a full queue")
    func replace() throws {
        let broker = try BrokerHarness { $0.queueDefaults.messagesMax = 1 }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.send(client, "/queue/a", "2", in: "t")
        try broker.commit(client, "t")
        #expect(broker.received(client) == ["1", "2"])
        #expect(error { try broker.send(client, "/queue/a", "3") } != nil)
    }

    @Test("messages, bytes and transactions at their limits are taken, one past them is refused")
    func limits() throws {
        let broker = try BrokerHarness {
            $0.limits.transactionMessages = 3
            $0.limits.transactionBytes = 10
            $0.limits.transactionsPerConnection = 2
        }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .cumulative, prefetch: 9)
        try broker.send(client, "/queue/a", "1", "2")
        try broker.begin(client, "t")
        try broker.begin(client, "u")
        #expect(
            error { try broker.begin(client, "v") }?.text.contains(
                "transactions_per_connection = 2"
            ) == true
        )
        try broker.send(client, "/queue/b", "m", "m", in: "t")
        #expect(
            error { try broker.ack(client, "2", in: "t") }?.text
                == "transaction t: transaction_messages = 3"
        )
        try broker.ack(client, "1", in: "t")
        #expect(error { try broker.send(client, "/queue/b", "m", in: "t") }?.kind == .limitReached)
        try broker.send(client, "/queue/b", "0123456789", in: "u")
        #expect(
            error { try broker.send(client, "/queue/b", "x", in: "u") }?.text
                == "transaction u: transaction_bytes = 10"
        )
        try broker.commit(client, "t")
        try broker.commit(client, "u")
        #expect(broker.depth("/queue/a") == 1)
        #expect(broker.depth("/queue/b") == 3)
    }

    @Test("a batch as large as the store takes is committed, a larger one refused whole")
    func batchBytes() throws {
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.limits = StoreLimits(
            messageBytesMax: 100,
            entriesPerMessageMax: 4,
            batchBytesMax: 10
        )
        let broker = try BrokerHarness(behaviour)
        let client = try broker.connect()
        try broker.begin(client, "t")
        try broker.send(client, "/queue/a", "12345", "12345", in: "t")
        try broker.send(client, "/topic/a", "not in the batch", in: "t")
        try broker.commit(client, "t")
        try broker.begin(client, "t")
        try broker.send(client, "/queue/a", "12345", "123456", in: "t")
        let failure = error { try broker.commit(client, "t") }
        #expect(failure?.kind == .limitReached)
        #expect(failure?.text.contains("takes 10") == true)
        #expect(broker.depth("/queue/a") == 2)
    }

    @Test("a transaction of the full age may commit, an older one ends the session")
    func age() throws {
        let broker = try BrokerHarness { $0.limits.transactionAge = .seconds(10) }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1")
        try broker.begin(client, "t")
        try broker.begin(client, "u")
        try broker.ack(client, "1", in: "u")
        broker.advance(seconds: 10)
        try broker.commit(client, "t")
        #expect(broker.failures.isEmpty)
        broker.advance(seconds: 1)
        #expect(broker.failures[client]?.text.contains("transaction_age = 10000 ms") == true)
        #expect(error { try broker.commit(client, "u") }?.kind == .badTransaction)
        broker.disconnect(client)
        #expect(broker.depth("/queue/a") == 1)
    }

    @Test("the store's refusal of sends refuses the commit, acknowledgements alone pass")
    func refused() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "1", "2")
        broker.store.refuseSends("disk full")
        broker.turn()
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.send(client, "/queue/a", "3", in: "t")
        #expect(error { try broker.commit(client, "t") }?.kind == .refused)
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        try broker.commit(client, "t")
        #expect(broker.depth("/queue/a") == 1)
    }

    @Test("all open transactions share one bound, and each gives its share back however it ends")
    func sharedBound() throws {
        let broker = try BrokerHarness { $0.limits.openTransactionBytes = 1000 }
        let (first, second) = (try broker.connect(), try broker.connect())
        // A message of one byte counts 129.
        func fill(_ client: SessionID, _ name: String) throws {
            try broker.begin(client, name)
            for _ in 0..<7 { try broker.send(client, "/queue/a", "x", in: name) }
        }
        try fill(first, "t")
        #expect(broker.broker.openTransactionBytes == 7 * 129)
        try broker.begin(second, "u")
        let refusal = error { try broker.send(second, "/queue/a", "x", in: "u") }
        #expect(refusal?.kind == .limitReached)
        #expect(refusal?.text.contains("open_transaction_bytes = 1000") == true)
        try broker.commit(first, "t")
        #expect(broker.broker.openTransactionBytes == 0)
        try fill(second, "v")
        try broker.abort(second, "v")
        try fill(second, "w")
        broker.broker.closeSession(second, now: broker.now)
        #expect(broker.broker.openTransactionBytes == 0)
        #expect(broker.depth("/queue/a") == 7)
    }
}
