/// Each consumer reads a queue of its own and acknowledges message by message.
extension Family {
    static let pipe = Family(
        name: "pipe",
        workloads: [256, 1024].flatMap { bodyBytes in
            [1, 4].map { pipe($0, bodyBytes: bodyBytes) }
        } + [pipe(4, bodyBytes: 256, prefetch: 1)],
        targets: [
            .atMost(3, .cpuMicroseconds, in: "pipe-256-4x4"),
            .atLeast(4, .messagesPerSecond, in: "pipe-256-4x4", per: .peer(.beanstalkdF50)),
            .atLeast(10, .messagesPerSecond, in: "pipe-256-4x4", per: .peer(.rabbitmq)),
            .atLeast(
                1,
                .messagesPerSecond,
                in: "pipe-256-4x4-prefetch1",
                per: .peer(.beanstalkdF50)
            ),
            .atLeast(1000, .messagesPerSecond, in: "pipe-256-1x1"),
        ]
    )

    private static func pipe(_ count: Int, bodyBytes: Int, prefetch: Int = 100) -> Workload {
        .timed(
            "pipe-\(bodyBytes)-\(count)x\(count)" + (prefetch == 1 ? "-prefetch1" : ""),
            "\(count) producers to \(count) consumers, prefetch \(prefetch), "
                + "\(bodyBytes)-byte bodies",
            peers: [.beanstalkdF50, .rabbitmq, .activemq],
            load: .pipe(count, bodyBytes: bodyBytes, prefetch: prefetch)
        )
    }
}
