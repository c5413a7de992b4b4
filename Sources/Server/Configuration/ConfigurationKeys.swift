import Base
import Broker
import Logging

// Every key of every section, with its limits. A key that stands here is supported, reported when it
// is wrong, overridden by the environment if its section is no list, and asked for by the test that
// reads `radiator.example.toml`.

/// The keys of all sections.
enum ConfigurationKeys {
    static var storage: [ConfigurationKey<Configuration.Storage>] {
        [
            .text("directory", \.directory, expected: "expected the path of a directory"),
            .value("fsync", \.fsync, expected: fsyncExpected, parse: fsync),
            .size("segment_size", \.segmentSize, 4096...(1 << 31)),
            .size("min_free_disk", \.minFreeDisk, 0...Int.max),
            .value(
                "pack_below_live",
                \.packBelowLive,
                expected: "expected a share from 0 to 0.9",
                parse: { $0.number.flatMap { (0...0.9).contains($0) ? $0 : nil } }
            ),
            .choice("compression", \.compression),
            .duration(
                "retain",
                \.retain,
                .seconds(1)...Interval.seconds(366 * 86400),
                zero: "do not keep them"
            ),
            .choice("on_damage", \.onDamage),
        ]
    }

    private static let fsyncExpected =
        "expected \"always\", \"never\" or a duration from 1ms to 1h, such as \"50ms\""

    private static func fsync(_ value: ConfigurationValue) -> Configuration.Fsync? {
        switch value.text {
        case "always": return .always
        case "never": return .never
        case let text?:
            let range = Interval.milliseconds(1)...Interval.seconds(3600)
            guard let interval = Interval(parsing: text), range.contains(interval) else {
                return nil
            }
            return .every(interval)
        case nil: return nil
        }
    }

    static var listen: [ConfigurationKey<Configuration.Listen>] {
        [
            .choice("protocol", \.protocol),
            .value("address", \.address, expected: addressExpected) { value in
                value.text.flatMap(ListenAddress.init(parsing:))
            },
            .table("tls", \.tls, tls, start: Configuration.TLS()) { tls in
                if tls.certificate.isEmpty { return "needs certificate = \"FILE\"" }
                return tls.key.isEmpty ? "needs key = \"FILE\"" : nil
            },
            origins,
        ]
    }

    static var tls: [ConfigurationKey<Configuration.TLS>] {
        [
            .text("certificate", \.certificate, expected: fileExpected),
            .text("key", \.key, expected: fileExpected),
            .value("client_ca", \.clientCA, expected: fileExpected + ", or \"\" for none") {
                $0.text
            },
        ]
    }

    private static let fileExpected = "expected the path of a PEM file"

    private static var origins: ConfigurationKey<Configuration.Listen> {
        let all = ConfigurationKey<Configuration.Listen>.texts(
            "origins",
            \.origins,
            expected: "expected a list such as [\"https://app.example\"], or [\"*\"] for all",
            allows: OriginRule.isValid
        )
        return ConfigurationKey(
            name: all.name,
            reading: all.reading,
            written: { $0.protocol == .websocket ? all.written($0) : nil }
        )
    }

    static let addressExpected =
        "expected HOST:PORT with a port from 0 to 65535, such as \"127.0.0.1:61613\" or \"[::1]:61613\""

    static var create: [ConfigurationKey<Configuration.Create>] {
        [
            .texts(
                "allow",
                \.allow,
                expected: "expected a list of patterns, such as [\"/queue/>\"]"
            ),
            .duration(
                "auto_delete_after",
                \.autoDeleteAfter,
                .seconds(1)...Interval.seconds(366 * 86400),
                zero: "never"
            ),
        ]
    }

    static var defaults: [ConfigurationKey<Configuration.Defaults>] {
        [
            .choice("storage", \.storage),
            .count("prefetch", \.prefetch, prefetchRange),
            .count("max_messages", \.maxMessages, 0...Int.max),
            .size("max_bytes", \.maxBytes, 0...Int.max),
            .choice("overflow", \.overflow),
        ] + ending(\.ending)
    }

    static var queue: [ConfigurationKey<Configuration.Queue>] {
        [
            .text("name", \.name, expected: "expected a name such as \"/queue/orders\""),
            .text("match", \.match, expected: "expected a pattern such as \"/queue/orders.>\""),
            .choice("storage", \.storage),
            .count("prefetch", \.prefetch, prefetchRange),
            .count("max_messages", \.maxMessages, 0...Int.max),
            .size("max_bytes", \.maxBytes, 0...Int.max),
            .choice("overflow", \.overflow),
        ] + ending(\.ending)
    }

    /// Each delivery in flight costs memory; the broker takes no larger credit either.
    private static let prefetchRange = 1...65_535

    /// The keys that say when a delivery or a message is over.
    private static func ending<Target>(
        _ ending: WritableKeyPath<Target, Configuration.Ending>
    ) -> [ConfigurationKey<Target>] {
        let long = Interval.milliseconds(100)...Interval.seconds(366 * 86400)
        return [
            .duration("ack_timeout", ending.appending(path: \.ackTimeout), long, zero: "never"),
            .duration("ack_timeout_max", ending.appending(path: \.ackTimeoutMax), long),
            .count("max_deliveries", ending.appending(path: \.maxDeliveries), 0...1_000_000_000),
            deadLetter(ending.appending(path: \.deadLetter)),
            .flag("dead_letter_expired", ending.appending(path: \.deadLetterExpired)),
            .durations("requeue_delay", ending.appending(path: \.requeueDelay), long),
            .duration(
                "message_ttl",
                ending.appending(path: \.messageTTL),
                Interval.milliseconds(1)...Interval.seconds(3660 * 86400),
                zero: "for ever"
            ),
        ]
    }

    private static func deadLetter<Target>(
        _ field: WritableKeyPath<Target, String>
    ) -> ConfigurationKey<Target> {
        var key = ConfigurationKey<Target>.value(
            "dead_letter",
            field,
            expected: "expected a queue such as \"/queue/dead\", or \"\" to drop"
        ) { value in
            value.text.flatMap { text in
                let problem = ConfigurationNames.problem(name: text, kind: "queue")
                return text.isEmpty || problem == nil ? text : nil
            }
        }
        key.showsEmpty = true
        return key
    }

    static var fanout: [ConfigurationKey<Configuration.Fanout>] {
        [
            .text("name", \.name, expected: "expected a name such as \"/fanout/orders\""),
            .texts(
                "children",
                \.children,
                expected: "expected a list of queues, such as [\"/queue/orders.audit\"]"
            ),
        ]
    }

    static var topic: [ConfigurationKey<Configuration.Topic>] {
        [
            .text("name", \.name, expected: "expected a name such as \"/topic/chat\""),
            .text("match", \.match, expected: "expected a pattern such as \"/topic/chat.>\""),
            .size("buffer", \.buffer, 1024...(1 << 30)),
            .choice("slow_consumer", \.slowConsumer),
        ]
    }

    static var stomp: [ConfigurationKey<StompSettings>] {
        let beats = Interval.milliseconds(100)...Interval.seconds(3600)
        return [
            .duration("heart_beat_send", \.heartBeatSend, beats, zero: "never"),
            .duration("heart_beat_receive", \.heartBeatReceive, beats, zero: "never"),
            .size("max_body", \.maxBody, 1...(1 << 30)),
            .count("max_headers", \.maxHeaders, 1...10_000),
            .size("max_header_bytes", \.maxHeaderBytes, 256...(1 << 20)),
            .duration(
                "connect_timeout",
                \.connectTimeout,
                Interval.milliseconds(100)...Interval.seconds(600)
            ),
        ]
    }

    static var limits: [ConfigurationKey<Configuration.Limits>] {
        [
            .count("connections", \.connections, 1...1_000_000),
            .count("connections_per_user", \.connectionsPerUser, 0...1_000_000),
            .count("connections_per_address", \.connectionsPerAddress, 0...1_000_000),
            .count("subscriptions_per_connection", \.subscriptionsPerConnection, 1...1_000_000),
            .count(
                "temporary_queues_per_connection",
                \.temporaryQueuesPerConnection,
                0...100_000
            ),
            .count("destinations", \.destinations, 1...100_000_000),
            .count("transactions_per_connection", \.transactionsPerConnection, 1...10_000),
            .count("transaction_messages", \.transactionMessages, 1...1_000_000),
            .size("transaction_bytes", \.transactionBytes, 1024...(1 << 30)),
            .duration(
                "transaction_age",
                \.transactionAge,
                Interval.seconds(1)...Interval.seconds(86_400)
            ),
            .size("open_transaction_bytes", \.openTransactionBytes, 1024...(1 << 40)),
            .size("unfinished_frame_bytes", \.unfinishedFrameBytes, (1 << 16)...(1 << 40)),
        ]
    }

    static var auth: [ConfigurationKey<Configuration.Auth>] {
        [
            .choice("method", \.method),
            .text("users", \.users, expected: "expected the path of a file"),
        ]
    }

    static var permit: [ConfigurationKey<Configuration.Permit>] {
        let expected = "expected a list of names and patterns, such as [\"/queue/orders.>\"]"
        return [
            .value("user", \.user, expected: "expected a user's name, or \"*\"") { value in
                value.text.flatMap { $0 == "*" || UserName.problem($0) == nil ? $0 : nil }
            },
            .texts("send", \.send, expected: expected),
            .texts("subscribe", \.subscribe, expected: expected),
            .texts("create", \.create, expected: expected),
        ]
    }

    static var log: [ConfigurationKey<Configuration.Log>] {
        [.choice("level", \.level), .choice("format", \.format)]
    }

    /// The names of one section's keys.
    struct Section {
        let name: String
        /// Written `[[name]]`, any number of times.
        let isList: Bool
        /// Keys that this version supports.
        let supported: [String]

        /// As the file spells it.
        var header: String { isList ? "[[\(name)]]" : "[\(name)]" }

        fileprivate init<Target>(
            _ name: String,
            isList: Bool = false,
            _ keys: [ConfigurationKey<Target>]
        ) {
            self.name = name
            self.isList = isList
            supported = keys.map(\.name)
        }
    }

    /// All sections in the order of the example file.
    static var sections: [Section] {
        [
            Section("storage", storage), Section("listen", isList: true, listen),
            Section("create", create), Section("defaults", defaults),
            Section("queue", isList: true, queue), Section("fanout", isList: true, fanout),
            Section("topic", isList: true, topic), Section("stomp", stomp),
            Section("limits", limits), Section("auth", auth),
            Section("permit", isList: true, permit), Section("log", log),
        ]
    }
}
