/// Consumers of one queue that holds all messages when the clock starts.
extension Family {
    static let receive = Family(
        name: "receive",
        columns: [
            .messagesPerSecond, .cpuMicroseconds, .generatorCPUMicroseconds, .peakMemoryBytes,
            .readBytes, .deviceSyncsPerSecond,
        ],
        workloads: [1, 8].flatMap { consumers in
            [1, 100].map { receive(consumers: consumers, prefetch: $0, .hot) }
                + [.cold, .packed].map { receive(consumers: consumers, prefetch: 100, $0) }
        },
        targets: [
            .atLeast(
                3,
                .messagesPerSecond,
                in: "receive-c8-prefetch100",
                per: .peer(.beanstalkdF50)
            ),
            .atLeast(1, .messagesPerSecond, in: "receive-c8-prefetch1", per: .peer(.beanstalkdF50)),
        ]
            + [Held.cold, .packed].map {
                .atLeast(
                    0.5,
                    .messagesPerSecond,
                    in: "receive-c8-prefetch100-\($0.rawValue)",
                    per: .workload("receive-c8-prefetch100")
                )
            }
    )

    /// Where the messages are when the consumers come.
    private enum Held: String {
        /// In the memory of the server, which took them a moment ago.
        case hot
        /// In the log on the disk: the server was started anew, the page cache dropped.
        case cold
        /// The same, in packed files.
        case packed
    }

    private static func receive(consumers: Int, prefetch: Int, _ held: Held) -> Workload {
        let name = "receive-c\(consumers)-prefetch\(prefetch)"
        let isHot = held == .hot
        return Workload(
            name: isHot ? name : "\(name)-\(held.rawValue)",
            summary: "\(consumers) consumers of one queue, prefetch \(prefetch), messages \(held)",
            // Peers keep all messages in memory, or fetch them there when they start.
            peers: isHot ? [.beanstalkdF50, .rabbitmq, .activemq] : []
        ) { stage in
            let meter = ReceiveMeter(stage: stage, consumers: consumers, prefetch: prefetch)
            return switch held {
            case .hot: try meter.measureHot()
            case .cold: try meter.measureCold()
            case .packed: try meter.measurePacked()
            }
        }
    }
}

/// Fills a queue, brings its messages where they are to be, and has them consumed.
private struct ReceiveMeter {
    /// 15 MB with headers: what the daemon holds in memory of the end of its log.
    private static let hotMessages = 40_000
    private static let coldMessages = 200_000
    private static let packingSecondsMax = 60.0
    /// Messages to keep and messages to consume take turns of this length in the files to be packed.
    private static let packedTurns = 10
    /// Files of which less than nine tenths are left are packed about a second later.
    private static let packingConfiguration =
        "[storage]\nsegment_size = \"16MiB\"\npack_below_live = 0.9\n"

    let stage: Stage
    let consumers: Int
    let prefetch: Int

    /// Fills and drains until the drains took the time there is.
    func measureHot() throws -> Figures {
        let fill = Load(producers: 8, window: 100, messages: Self.hotMessages)
        return try stage.withServer { server in
            var result = Measurement()
            repeat {
                try run(fill, on: server)
                result.add(try drain(Self.hotMessages, on: server))
            } while result.seconds < stage.seconds
            return result.figures
        }
    }

    func measureCold() throws -> Figures {
        let server = try stage.start()
        defer { server.end() }
        try run(Load(producers: 8, window: 100, messages: Self.coldMessages), on: server)
        server.end()
        return try drainCold(configuration: "")
    }

    /// Half of what fills the files is consumed, so that the daemon packs the rest at once.
    func measurePacked() throws -> Figures {
        let server = try stage.start(configuration: Self.packingConfiguration)
        defer { server.end() }
        let fill = Load(
            producers: 8,
            window: 100,
            body: .json,
            messages: Self.coldMessages / Self.packedTurns
        )
        let chaff = "\(stage.queue)-chaff"
        for _ in 0..<Self.packedTurns {
            try run(fill, on: server)
            _ = try stage.driver.run(fill, on: server, queue: chaff)
        }
        var drain = fill.drain()
        drain.waiting = Self.coldMessages
        _ = try stage.driver.run(drain, on: server, queue: chaff)
        guard try StoreFiles(directory: stage.directory).waitForPacking(Self.packingSecondsMax)
        else { throw LoadError(description: "\(stage.queue): not all was packed in time") }
        server.end()
        return try drainCold(configuration: Self.packingConfiguration)
    }

    /// Starts the server anew and drops the page cache: its start has read some of the log.
    private func drainCold(configuration: String) throws -> Figures {
        let device = try BlockDevice(under: stage.directory)
        return try stage.withServer(configuration: configuration) { server in
            try Files.dropPageCache(of: stage.directory)
            let before = try device.traffic()
            var figures = try drain(Self.coldMessages, on: server).figures
            figures[.readBytes] = Double(try device.traffic().readBytes - before.readBytes)
            return figures
        }
    }

    private func run(_ load: Load, on server: RunningServer) throws {
        _ = try stage.driver.run(load, on: server, queue: stage.queue)
    }

    private func drain(_ messages: Int, on server: RunningServer) throws -> Measurement {
        let load = Load(consumers: consumers, prefetch: prefetch, waiting: messages)
        return try stage.driver.run(load, on: server, queue: stage.queue)
    }
}
