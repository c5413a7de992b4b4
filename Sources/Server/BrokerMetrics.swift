import Broker
import Metrics

/// Publishes the core's counters through swift-metrics, whatever backend the process has set up.
///
/// The core counts in plain integers; this copies what changed about once a second, so that nothing is
/// paid per message. Handles are made once. Confinement: broker loop.
final class BrokerMetrics {
    private var last = BrokerStats()
    private let counters: [(path: KeyPath<BrokerStats, Int>, counter: Counter)]
    private let connections: Gauge
    private let damagedRanges: Counter

    init(factory: any MetricsFactory = MetricsSystem.factory) {
        connections = Gauge(label: "radiator_connections", factory: factory)
        damagedRanges = Counter(label: "radiator_store_damaged_ranges_total", factory: factory)
        let names: [(KeyPath<BrokerStats, Int>, String)] = [
            (\.sends, "messages_sent"),
            (\.sendsRefused, "messages_refused"),
            (\.deliveries, "queue_deliveries"),
            (\.redeliveries, "queue_redeliveries"),
            (\.topicDeliveries, "topic_deliveries"),
            (\.settles, "entries_settled"),
            (\.returns, "entries_returned"),
            (\.ackTimeouts, "ack_timeouts"),
            (\.deadLetters, "dead_letters"),
            (\.deadLettersDropped, "dead_letters_dropped"),
            (\.expired, "messages_expired"),
            (\.destinationsDeleted, "destinations_deleted"),
            (\.lateAcknowledgements, "late_acknowledgements"),
            (\.queueDrops, "queue_drops"),
            (\.topicDrops, "topic_drops"),
            (\.unreadableEntries, "unreadable_entries"),
            (\.transactionsCommitted, "transactions_committed"),
            (\.transactionsUndone, "transactions_undone"),
        ]
        counters = names.map { ($0.0, Counter(label: "radiator_\($0.1)_total", factory: factory)) }
    }

    /// Publishes what changed since the last call.
    func update(_ stats: BrokerStats, connections count: Int) {
        for (path, counter) in counters where stats[keyPath: path] > last[keyPath: path] {
            counter.increment(by: stats[keyPath: path] - last[keyPath: path])
        }
        last = stats
        connections.record(count)
    }

    /// Counts damage that was met while the store ran or was opened.
    func damaged(_ ranges: Int) {
        if ranges > 0 { damagedRanges.increment(by: ranges) }
    }
}
