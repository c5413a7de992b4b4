/// The same messages, producers and consumers over one queue or many.
extension Family {
    static let queues = Family(
        name: "queues",
        workloads: [1, 100, 10_000].map { queues($0) } + [queues(10_000, used: 1)],
        targets: ["queues-10000", "queues-1-of-10000"].map {
            .atMost(1.1, .cpuMicroseconds, in: $0, per: .workload("queues-1"))
        }
    )

    /// So many queues, of which so many get messages, or all of them.
    private static func queues(_ count: Int, used: Int? = nil) -> Workload {
        let load = Load(
            producers: 4,
            window: 100,
            consumers: 16,
            prefetch: 100,
            queues: count,
            isSpread: true,
            undeliveredMax: 16_000
        )
        return Workload(
            name: "queues-" + (used.map { "\($0)-of-" } ?? "") + "\(count)",
            summary: "4 producers to \(used.map { "\($0) of " } ?? "")\(count) queues in turn, "
                + "16 consumers, prefetch 100",
            peers: [.beanstalkdF50]
        ) { stage in
            try stage.withServer { server in
                var first = load
                first.messages = firstMessages
                var load = load
                load.queues = used ?? count
                _ = try stage.driver.run(first, on: server, queue: stage.queue)
                return try stage.run(load, on: server).figures
            }
        }
    }

    /// Ahead of the clock: the first message of each queue costs more than those that follow.
    private static let firstMessages = 10_000
}
