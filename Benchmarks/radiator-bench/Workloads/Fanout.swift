/// One persistent message to many queues: stored once, with an entry in each.
extension Family {
    static let fanout = Family(
        name: "fanout",
        columns: [
            .messagesPerSecond, .p50Microseconds, .p99Microseconds, .cpuMicroseconds,
            .generatorCPUMicroseconds, .writtenBytesPerMessage, .otherShare,
            .drainMessagesPerSecond, .drainCPUMicroseconds, .peakMemoryBytes,
            .deviceSyncsPerSecond,
        ],
        workloads: childCounts.map(fanout),
        targets: [
            .atMost(
                Double(messageBytes) * 1.3 + 16 * 100,
                .writtenBytesPerMessage,
                in: "fanout-1-to-100",
                unless: disturbance
            )
        ]
    )

    private static let childCounts = [1, 10, 100]
    private static let bodyBytes = 256
    private static var messageBytes: Int {
        StompFrames(load: Load(destination: .fanout, bodyBytes: bodyBytes), queue: "q").messageBytes
    }

    private static func fanout(children: Int) -> Workload {
        Workload(
            name: "fanout-1-to-\(children)",
            summary: "4 producers to a fan-out of \(children) queues, then a consumer of each"
        ) { stage in try FanoutMeter(stage: stage, children: children).measure() }
    }
}

/// One message to many subscribers, stored nowhere.
extension Family {
    static let topic = Family(
        name: "topic",
        workloads: [
            .timed(
                "topic-1-to-100",
                "1 producer to 100 subscribers of a topic; a message is a delivery",
                peers: [.rabbitmq, .activemq],
                load: Load(
                    destination: .topic,
                    producers: 1,
                    // Receipts come at once: the next messages must be under way by then.
                    window: 400,
                    consumers: 100,
                    // No subscriber may fall so far behind that the topic drops messages for it.
                    undeliveredMax: 50_000
                )
            )
        ],
        targets: [
            .atMost(1.0, .cpuMicroseconds, in: "topic-1-to-100"),
            .atLeast(5, .messagesPerSecond, in: "topic-1-to-100", per: .peer(.activemq)),
        ]
    )
}

/// Sends to a fan-out as much as the files that are prepared take, then drains its queues.
private struct FanoutMeter {
    /// By estimates that are too high, so less than half of the active file of 64 MiB: at half of it the
    /// next one is prepared, whose zeros would count.
    private static let logBytes = 40_000_000
    private static let messageBytes = 400
    private static let entryBytes = 24

    let stage: Stage
    let children: Int

    func measure() throws -> Figures {
        let load = Load(
            destination: .fanout,
            producers: 4,
            window: 100,
            queues: children,
            messages: Self.logBytes / (Self.messageBytes + Self.entryBytes * children)
        )
        return try stage.withServer(configuration: configuration) { server in
            let traffic = try QuietTraffic(under: stage.directory)
            let sent = try stage.driver.run(load, on: server, queue: stage.queue)
            var figures = sent.figures
            figures.add(try traffic.figures(of: sent, load: load, queue: stage.queue))
            let drained = try stage.driver.run(load.drain(), on: server, queue: stage.queue)
            figures[.drainMessagesPerSecond] = drained.messagesPerSecond
            figures[.drainCPUMicroseconds] = drained.serverCPUMicroseconds
            return figures
        }
    }

    private var configuration: String {
        let names = (0..<children).map { "\"/queue/\(stage.queue).\($0)\"" }
        return """
            [[fanout]]
            name = "/fanout/\(stage.queue)"
            children = [\(names.joined(separator: ", "))]

            """
    }
}
