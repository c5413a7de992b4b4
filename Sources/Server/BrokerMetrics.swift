import Broker
import Metrics

/// Publishes the core's counters through swift-metrics, whatever backend the process has set up.
///
/// The core counts in plain integers; this copies what changed about once a second, so that nothing is
/// paid per message. Handles are made once. Confinement: broker loop.
final class BrokerMetrics {
    private var last = BrokerStats()
    private var lastAccess = AccessControl.Stats()
    private let accessCounters: [(path: KeyPath<AccessControl.Stats, Int>, counter: Counter)]
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
        let accessNames: [(KeyPath<AccessControl.Stats, Int>, String)] = [
            (\.logins, "logins"),
            (\.loginsRefused, "logins_refused"),
            (\.accessRefused, "access_refused"),
            (\.connectionsRefused, "connections_refused"),
        ]
        accessCounters = accessNames.map {
            ($0.0, Counter(label: "radiator_\($0.1)_total", factory: factory))
        }
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

    /// Publishes what changed of the logins and refusals since the last call.
    func update(_ access: AccessControl.Stats) {
        for (path, counter) in accessCounters
        where access[keyPath: path] > lastAccess[keyPath: path] {
            counter.increment(by: access[keyPath: path] - lastAccess[keyPath: path])
        }
        lastAccess = access
    }

    /// Counts damage that was met while the store ran or was opened.
    func damaged(_ ranges: Int) {
        if ranges > 0 { damagedRanges.increment(by: ranges) }
    }
}
