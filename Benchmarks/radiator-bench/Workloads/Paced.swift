/// Messages that are due at their times, whatever the server does: what each of them waits.
extension Family {
    static let paced = Family(
        name: "paced",
        columns: [
            .messagesPerSecond, .p50Microseconds, .p99Microseconds, .p999Microseconds,
            .receiptP50Microseconds, .receiptP99Microseconds, .deviceSyncP99Microseconds,
            .pacedSyncP99Microseconds, .deviceSyncsPerSecond, .cpuMicroseconds,
            .generatorCPUMicroseconds,
        ],
        // Without a sync for each command, beanstalkd is no durable peer: it shows what that costs.
        workloads: [
            paced(1000, "1k", peers: durablePeers + [.beanstalkdF50]),
            paced(10_000, "10k", peers: [.rabbitmq, .activemq, .beanstalkdF50]),
            paced(50_000, "50k"),
        ],
        targets: [Figure.p50Microseconds, .p99Microseconds, .p999Microseconds].map {
            .atMost(1, $0, in: "paced-1k", per: .best(durablePeers))
        } + [
            .atMost(
                2,
                .receiptP99Microseconds,
                in: "paced-1k",
                per: .figure(.pacedSyncP99Microseconds)
            ),
            .atMost(1300, .p99Microseconds, in: "paced-10k"),
            // Messages at the two ends of the time that is counted make up the rest.
            .atLeast(49_000, .messagesPerSecond, in: "paced-50k"),
        ]
    )

    private static let durablePeers: [PeerName] = [.beanstalkdF0, .rabbitmq, .activemq]
    /// What a server does once, after its start and when its first file has served, must not be in the
    /// way of the messages that count; peers that go on from turn to turn have it behind them.
    private static let restSeconds = 2.0
    private static let firstMessages = 4_000
    private static let probeSecondsMax = 5.0

    private static func paced(_ rate: Double, _ label: String, peers: [PeerName] = []) -> Workload {
        let load = Load(
            producers: 4,
            // More than any stall that a server comes out of leaves open.
            window: 20_000,
            messagesPerSecond: rate,
            consumers: 4,
            prefetch: 100,
            queues: 4
        )
        return Workload(
            name: "paced-\(label)",
            summary: "4 producers to 4 consumers, prefetch 100, \(label) messages a second "
                + "of 256 bytes",
            peers: peers
        ) { stage in
            var figures = try DeviceProbe.measure(
                in: stage.directory,
                perSecond: rate,
                seconds: min(stage.seconds, probeSecondsMax)
            )
            try stage.withServer { server in
                var first = load
                first.messagesPerSecond = nil
                first.window = 100
                first.messages = firstMessages
                // Of their own, for beanstalkd gives back what its consumers had deleted last.
                _ = try stage.driver.run(first, on: server, queue: "\(stage.queue)-first")
                pause(seconds: restSeconds)
                figures.add(try stage.run(load, on: server).figures)
            }
            return figures
        }
    }
}
