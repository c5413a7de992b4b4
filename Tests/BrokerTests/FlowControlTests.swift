import Base
import Broker
import Testing

@Suite("Flow control")
struct FlowControlTests {
    @Test("the worked example of the specification")
    func workedExample() throws {
        let broker = try BrokerHarness()
        let (client, sender) = (try broker.connect(), try broker.connect())
        try broker.subscribe(client, "/queue/Q1", .cumulative)
        try broker.subscribe(client, "/queue/Q2", .cumulative)
        try broker.subscribe(client, "/topic/T1", .cumulative)
        try broker.send(sender, "/queue/Q1", "M1", "M2")
        #expect(broker.received(client) == ["M1"])
        try broker.send(sender, "/queue/Q2", "M3")
        #expect(broker.received(client) == [])
        try broker.ack(client, "M1")
        #expect(broker.received(client) == ["M3"])
        try broker.send(sender, "/topic/T1", "M4")
        #expect(broker.received(client) == ["M4"])
        try broker.ack(client, "M3")
        #expect(broker.received(client) == ["M2"])
        try broker.ack(client, "M2")
        #expect(broker.received(client) == [])
        #expect(broker.depth("/queue/Q1") == 0 && broker.depth("/queue/Q2") == 0)
    }

    @Test("the same over a store that confirms late and answers fetches late")
    func workedExampleLate() throws {
        var behaviour = BrokerHarness.grouped
        behaviour.laterFetchOneIn = 1
        let broker = try BrokerHarness(behaviour)
        let client = try broker.connect()
        // Nobody waits for them yet, so they are read, and together.
        try broker.send(client, "/queue/Q1", "M1", "M2")
        try broker.subscribe(client, "/queue/Q1", .cumulative)
        try broker.subscribe(client, "/queue/Q2", .cumulative)
        #expect(broker.received(client) == ["M1"])
        try broker.send(client, "/queue/Q2", "M3")
        try broker.ack(client, "M1")
        // Q2's message must be read first, and Q1's is at hand: nobody waits for the disk.
        #expect(broker.received(client) == ["M2"])
        try broker.ack(client, "M2")
        #expect(broker.received(client) == ["M3"])
    }

    @Test("nothing is delivered before it is durable")
    func durableFirst() throws {
        let broker = try BrokerHarness(BrokerHarness.grouped)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 10)
        broker.storeReports = false
        let completion = try broker.send(client, "/queue/a", "M1")
        guard case .whenDurable = completion else {
            Issue.record("the receipt must wait: \(completion)")
            return
        }
        #expect(broker.received(client) == [])
        broker.storeReports = true
        #expect(broker.received(client) == ["M1"])
    }

    @Test("only what the confirmed group covers is delivered")
    func confirmedGroupOnly() throws {
        let broker = try BrokerHarness(BrokerHarness.grouped)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 10)
        broker.turn()
        broker.storeReports = false
        let first = try broker.send(client, "/queue/a", "M1", "M2")
        broker.store.closeGroup()
        try broker.send(client, "/queue/a", "M3")
        guard case .whenDurable(let append) = first else {
            Issue.record("the receipt must wait")
            return
        }
        broker.broker.handle(.durable(upTo: append), now: broker.now)
        #expect(broker.received(client) == ["M1", "M2"])
        broker.storeReports = true
        #expect(broker.received(client) == ["M3"])
    }

    @Test("a session's subscriptions take turns")
    func roundRobin() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        for name in ["a", "b", "c"] {
            for number in 1...3 { try broker.send(client, "/queue/\(name)", "\(name)\(number)") }
        }
        for name in ["a", "b", "c"] { try broker.subscribe(client, "/queue/\(name)") }
        var order: [String] = []
        while let text = broker.received(client).first {
            order.append(text)
            try broker.ack(client, text)
        }
        #expect(order == ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"])
    }

    @Test("turns go on after the one served last, empty queues are passed over")
    func roundRobinSkipsEmpty() throws {
        let broker = try BrokerHarness { $0.prefetch = 2 }
        let client = try broker.connect()
        for name in ["a", "b", "c", "d"] { try broker.subscribe(client, "/queue/\(name)") }
        try broker.send(client, "/queue/b", "b1", "b2", "b3")
        #expect(broker.received(client) == ["b1", "b2"])
        try broker.send(client, "/queue/a", "a1")
        try broker.send(client, "/queue/d", "d1")
        try broker.ack(client, "b1")
        #expect(broker.received(client) == ["d1"])
        try broker.ack(client, "b2")
        #expect(broker.received(client) == ["a1"])
        try broker.ack(client, "d1")
        #expect(broker.received(client) == ["b3"])
    }

    @Test("the subscriber that has waited longest is served")
    func longestWaiting() throws {
        let broker = try BrokerHarness()
        let clients = try (0..<3).map { _ in try broker.connect() }
        for client in clients { try broker.subscribe(client, "/queue/a") }
        try broker.send(clients[0], "/queue/a", "M1", "M2", "M3")
        #expect(clients.map { broker.received($0) } == [["M1"], ["M2"], ["M3"]])
        try broker.ack(clients[2], "M3")
        try broker.ack(clients[0], "M1")
        try broker.ack(clients[1], "M2")
        try broker.send(clients[0], "/queue/a", "M4", "M5", "M6")
        #expect(clients.map { broker.received($0) } == [["M5"], ["M6"], ["M4"]])
    }

    @Test("a wait begins anew when the session was busy with another queue")
    func waitLapses() throws {
        let broker = try BrokerHarness()
        let (first, second) = (try broker.connect(), try broker.connect())
        try broker.subscribe(first, "/queue/a")
        try broker.subscribe(first, "/queue/b")
        try broker.subscribe(second, "/queue/a")
        try broker.send(first, "/queue/b", "B")
        try broker.ack(first, "B")
        try broker.send(first, "/queue/a", "A1", "A2")
        #expect(broker.received(second) == ["A1"])
        #expect(broker.received(first) == ["B", "A2"])
    }

    @Test("a subscriber with much credit goes to the end of the line each time it is served")
    func creditTakesTurns() throws {
        let broker = try BrokerHarness()
        let (first, second) = (try broker.connect(), try broker.connect())
        try broker.subscribe(first, "/queue/a", prefetch: 10)
        try broker.subscribe(second, "/queue/a", prefetch: 10)
        try broker.send(first, "/queue/a", "M1", "M2", "M3", "M4")
        #expect(broker.received(first) == ["M1", "M3"])
        #expect(broker.received(second) == ["M2", "M4"])
    }

    @Test("credit of a subscription's own neither uses nor waits for the shared credit")
    func ownCredit() throws {
        let broker = try BrokerHarness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/own", prefetch: 2)
        try broker.subscribe(client, "/queue/shared")
        try broker.send(client, "/queue/shared", "s1", "s2")
        try broker.send(client, "/queue/own", "o1", "o2", "o3")
        #expect(broker.received(client) == ["s1", "o1", "o2"])
        try broker.ack(client, "s1")
        #expect(broker.received(client) == ["s2"])
        try broker.ack(client, "o2")
        #expect(broker.received(client) == ["o3"])
    }

    @Test("a queue's own prefetch holds unless SUBSCRIBE says otherwise")
    func queuePrefetch() throws {
        let broker = try BrokerHarness {
            var policy = BrokerSettings.QueuePolicy()
            policy.prefetch = 3
            $0.queues = [.init(pattern: "/queue/a", isPattern: false, policy: policy)]
        }
        let client = try broker.connect()
        try broker.send(client, "/queue/a", "1", "2", "3", "4", "5", "6")
        try broker.subscribe(client, "/queue/a")
        #expect(broker.received(client) == ["1", "2", "3"])
        let other = try broker.connect()
        try broker.subscribe(other, "/queue/a", prefetch: 2)
        #expect(broker.received(other) == ["4", "5"])
    }

    @Test("prefetch at the limit is taken, one past it is refused")
    func prefetchLimit() throws {
        let broker = try BrokerHarness { $0.limits.prefetchMax = 5 }
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 5)
        for bad in [6, 0, -1] {
            let failure = error { try broker.subscribe(client, "/queue/a", prefetch: bad) }
            #expect(failure?.kind == .limitReached)
        }
    }

    @Test("auto is bound by unwritten bytes, not by credit, and settles when written")
    func auto() throws {
        let broker = try BrokerHarness { $0.limits.unwrittenBytes = Message.room(2) }
        broker.writesAtOnce = false
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .auto)
        try broker.send(client, "/queue/a", "m1", "m2", "m3", "m4", "m5")
        #expect(broker.received(client) == ["m1", "m2"])
        #expect(broker.depth("/queue/a") == 5)
        broker.write(client)
        #expect(broker.received(client) == ["m3", "m4"])
        #expect(broker.depth("/queue/a") == 3)
        #expect(broker.broker.stats.settles == 2)
        broker.disconnect(client)
        let other = try broker.connect()
        broker.writesAtOnce = true
        try broker.subscribe(other, "/queue/a", .auto)
        #expect(broker.deliveries(other).map(\.redeliveries) == [1, 1, 0])
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("empty messages take room in a socket, too")
    func emptyMessages() throws {
        let broker = try BrokerHarness {
            $0.limits.unwrittenBytes = 3 * Message.overheadBytes
            $0.topicDefaults.bufferBytes = 2 * Message.overheadBytes
        }
        broker.writesAtOnce = false
        let (client, reader) = (try broker.connect(), try broker.connect())
        try broker.subscribe(client, "/queue/a", .auto)
        try broker.subscribe(reader, "/topic/a")
        for _ in 0..<10 {
            try broker.send(client, "/queue/a", "")
            try broker.send(client, "/topic/a", "")
        }
        #expect(broker.received(client).count == 3)
        #expect(broker.received(reader).count == 3)
        #expect(broker.broker.stats.topicDrops == 5)
    }

    @Test("nothing is delivered to a session with too much unwritten, whatever its credit")
    func unwrittenHolds() throws {
        let broker = try BrokerHarness { $0.limits.unwrittenBytes = Message.room(2) }
        broker.writesAtOnce = false
        let (client, other) = (try broker.connect(), try broker.connect())
        try broker.subscribe(client, "/queue/a", prefetch: 10)
        try broker.send(client, "/queue/a", "m1", "m2", "m3")
        #expect(broker.received(client) == ["m1", "m2"])
        try broker.subscribe(other, "/queue/a", prefetch: 10)
        #expect(broker.received(other) == ["m3"])
        broker.write(client)
        broker.write(other)
        try broker.send(client, "/queue/a", "m4", "m5")
        // The one whose socket was full waits only since there is room again.
        #expect(broker.received(other) == ["m4"])
        #expect(broker.received(client) == ["m5"])
    }
}
