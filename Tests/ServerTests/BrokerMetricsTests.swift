import Broker
import MetricsTestKit
import Testing

@testable import Server

@Suite struct BrokerMetricsTests {
    @Test("what the core counted is published once, as differences")
    func publishes() throws {
        let backend = TestMetrics()
        let metrics = BrokerMetrics(factory: backend)
        var stats = BrokerStats()
        stats.sends = 3
        metrics.update(stats, connections: 7)
        metrics.update(stats, connections: 5)
        stats.sends = 10
        stats.topicDrops = 1
        metrics.update(stats, connections: 5)
        metrics.damaged(2)
        var access = AccessControl.Stats()
        access.loginsRefused = 2
        metrics.update(access)
        access.loginsRefused = 5
        metrics.update(access)

        #expect(try backend.expectCounter("radiator_messages_sent_total").values == [3, 7])
        #expect(try backend.expectCounter("radiator_topic_drops_total").values == [1])
        #expect(try backend.expectCounter("radiator_queue_drops_total").values == [])
        #expect(try backend.expectCounter("radiator_store_damaged_ranges_total").values == [2])
        #expect(try backend.expectCounter("radiator_logins_refused_total").values == [2, 3])
        #expect(try backend.expectCounter("radiator_access_refused_total").values == [])
        let connections = try backend.expectRecorder("radiator_connections")
        #expect(connections.lastValue == 5)
    }
}
