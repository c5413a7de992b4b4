/// The same messages, producers and consumers over one queue or many.
extension Family {
    static let queues = Family(
        name: "queues",
        workloads: [1, 100, 10_000].map(queues),
        targets: [.atMost(1.1, .cpuMicroseconds, in: "queues-10000", per: .workload("queues-1"))]
    )

    private static func queues(_ count: Int) -> Workload {
        .timed(
            "queues-\(count)",
            "4 producers to \(count) queues in turn, 16 consumers, prefetch 100, 256-byte bodies",
            peers: [.beanstalkdF50],
            load: Load(
                producers: 4,
                window: 100,
                consumers: 16,
                prefetch: 100,
                queues: count,
                isSpread: true,
                undeliveredMax: 16_000
            )
        )
    }
}
