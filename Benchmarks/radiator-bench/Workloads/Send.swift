/// Producers send to one queue; nobody reads it.
extension Family {
    static let send = Family(name: "send", workloads: sends, targets: sendTargets)

    /// When the daemon may give a receipt, with the peers that promise as much and as little.
    private enum FsyncRule: String {
        case always
        case every50ms = "50ms"
        case never

        var peers: [PeerName] {
            switch self {
            case .always: [.beanstalkdF0, .beanstalkdF, .rabbitmq, .activemq, .sink]
            case .every50ms: [.beanstalkdF50]
            case .never: [.beanstalkdF]
            }
        }

        var suffix: String { self == .always ? "" : "-\(rawValue)" }
    }

    private static let sends: [Workload] =
        [1, 8, 16, 64].flatMap { producers in
            [1, 100].map { send(producers: producers, window: $0) }
        }
        + [FsyncRule.every50ms, .never].flatMap { rule in
            [(1, 1), (8, 100), (64, 1)].map { send(producers: $0, window: $1, rule: rule) }
        }
        + [1, 16, 64].flatMap { producers in
            [1, 100].map { send(producers: producers, window: $0, bodyBytes: 1024) }
        }
        // More in flight would measure the memory of the generator: 100 of 64 are 400 MB.
        + [(1, 1), (1, 100), (8, 100), (16, 1), (64, 1)].map {
            send(producers: $0, window: $1, bodyBytes: 65536)
        }

    private static func send(
        producers: Int,
        window: Int,
        bodyBytes: Int = 256,
        rule: FsyncRule = .always
    ) -> Workload {
        .timed(
            "send-\(bodyBytes)-p\(producers)-w\(window)\(rule.suffix)",
            "\(producers) producers, \(window) in flight each, \(bodyBytes)-byte bodies, "
                + "fsync \(rule.rawValue)",
            peers: rule.peers,
            configuration: "[storage]\nfsync = \"\(rule.rawValue)\"\n",
            load: Load(producers: producers, window: window, bodyBytes: bodyBytes)
        )
    }

    private static let sendTargets: [Target] = [
        .atMost(1.0, .cpuMicroseconds, in: "send-256-p8-w100"),
        .atLeast(40, .messagesPerSecond, in: "send-256-p8-w100", per: .peer(.beanstalkdF0)),
        .atLeast(15, .messagesPerSecond, in: "send-256-p8-w100", per: .peer(.rabbitmq)),
        .atLeast(4, .messagesPerSecond, in: "send-256-p8-w100", per: .peer(.beanstalkdF)),
        .atLeast(0.25, .messagesPerSecond, in: "send-256-p8-w100", per: .peer(.sink)),
        .atLeast(30, .messagesPerSecond, in: "send-256-p1-w100", per: .peer(.beanstalkdF0)),
        .atLeast(8, .messagesPerSecond, in: "send-256-p64-w1", per: .peer(.beanstalkdF0)),
        // On a par: what is within the noise of two runs.
        .atLeast(0.95, .messagesPerSecond, in: "send-256-p64-w1", per: .peer(.beanstalkdF)),
        .atLeast(1, .messagesPerSecond, in: "send-256-p1-w1", per: .peer(.beanstalkdF0)),
        .atLeast(3, .messagesPerSecond, in: "send-65536-p8-w100", per: .peer(.beanstalkdF0)),
        .atLeast(0.5, .messagesPerSecond, in: "send-65536-p8-w100", per: .peer(.sink)),
        // What a small machine must do at least, in the slowest shape.
        .atLeast(1000, .messagesPerSecond, in: "send-256-p1-w1") { figures in
            guard let syncs = figures[.deviceSyncsPerSecond], syncs < 1000 else { return nil }
            return "the disk itself was too slow: \(Figure.grouped(syncs)) syncs a second"
        },
    ]
}
