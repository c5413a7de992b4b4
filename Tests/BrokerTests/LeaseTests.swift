import Base
import Broker
import Testing

@Suite("Leases")
struct LeaseTests {
    private func harness(
        _ configure: (inout BrokerSettings.QueuePolicy) -> Void = { _ in }
    ) throws -> BrokerHarness {
        try BrokerHarness { settings in
            settings.queueDefaults.ackTimeout = .seconds(10)
            settings.queueDefaults.ackTimeoutMax = .seconds(60)
            configure(&settings.queueDefaults)
        }
    }

    @Test(
        "a message that is not answered in time goes to somebody else, and the late ACK counts for nothing"
    )
    func timeout() throws {
        let broker = try harness()
        let (slow, other) = (try broker.connect(), try broker.connect())
        try broker.subscribe(slow, "/queue/a")
        try broker.send(slow, "/queue/a", "1")
        #expect(broker.received(slow) == ["1"])
        try broker.subscribe(other, "/queue/a")
        broker.advance(milliseconds: 9_900)
        #expect(broker.received(other) == [])
        broker.advance(milliseconds: 1_200)
        let again = broker.deliveries(other)
        #expect(again.map(\.message.text) == ["1"])
        #expect(again.map(\.redeliveries) == [1])
        let late = broker.broker.stats.lateAcknowledgements
        try broker.ack(slow, "1")
        #expect(broker.broker.stats.lateAcknowledgements == late + 1)
        #expect(broker.depth("/queue/a") == 1)
        try broker.ack(other, "1")
        #expect(broker.depth("/queue/a") == 0)
        #expect(broker.broker.stats.ackTimeouts == 1)
        #expect(broker.failures.isEmpty, "the connection stays")
    }

    @Test("heart-beats renew a lease, but not for ever")
    func renewed() throws {
        let broker = try harness()
        let client = try broker.connect(hasHeartBeats: true)
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        broker.advance(milliseconds: 59_000)
        #expect(broker.received(client) == ["1"])
        broker.advance(milliseconds: 2_100)
        #expect(broker.received(client) == ["1"], "it comes again to the only one who is there")
    }

    @Test("a subscription's own time counts more than the queue's; zero is for ever")
    func ownTimeout() throws {
        let broker = try harness()
        let (short, long) = (try broker.connect(), try broker.connect())
        try broker.subscribe(short, "/queue/a", ackTimeout: .seconds(2))
        try broker.subscribe(long, "/queue/b", ackTimeout: .zero)
        try broker.send(short, "/queue/a", "1")
        try broker.send(short, "/queue/b", "2")
        broker.advance(milliseconds: 3_100)
        #expect(broker.deliveries(short).map(\.redeliveries) == [0, 1])
        broker.advance(seconds: 100_000)
        #expect(broker.deliveries(long).map(\.redeliveries) == [0])
    }

    @Test("only what is overdue goes back")
    func partial() throws {
        let broker = try harness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 5)
        try broker.send(client, "/queue/a", "1", "2")
        broker.advance(milliseconds: 6_000)
        try broker.send(client, "/queue/a", "3")
        broker.advance(milliseconds: 5_000)
        #expect(broker.received(client) == ["1", "2", "3", "1", "2"])
        #expect(broker.broker.stats.ackTimeouts == 2)
    }

    @Test("what an open transaction holds is not taken from it")
    func held() throws {
        let broker = try harness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        broker.advance(milliseconds: 20_000)
        #expect(broker.received(client) == ["1"])
        try broker.commit(client, "t")
        #expect(broker.depth("/queue/a") == 0)
    }

    @Test("what an aborted transaction held past its time goes back")
    func aborted() throws {
        let broker = try harness()
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a")
        try broker.send(client, "/queue/a", "1")
        try broker.begin(client, "t")
        try broker.ack(client, "1", in: "t")
        broker.advance(milliseconds: 20_000)
        try broker.abort(client, "t")
        broker.advance(milliseconds: 2_000)
        #expect(broker.received(client) == ["1", "1"])
    }

    @Test("an auto subscription has no lease, for nobody is to answer")
    func auto() throws {
        let broker = try harness()
        broker.writesAtOnce = false
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", .auto)
        try broker.send(client, "/queue/a", "1")
        broker.advance(seconds: 100)
        #expect(broker.deliveries(client).count == 1)
        #expect(broker.broker.stats.ackTimeouts == 0)
    }
}
