import Glibc

/// Messages that nobody reads for long: memory, restart, drain and disk.
extension Family {
    static let backlog = Family(
        name: "backlog",
        jsonKey: "backlogs",
        columns: [
            .emptyMemoryBytes, .grownMemoryBytes, .afterKillSeconds, .afterKillMemoryBytes,
            .stopSeconds, .afterStopSeconds, .afterStopMemoryBytes, .fillMessagesPerSecond,
            .drainMessagesPerSecond, .drainPeakMemoryBytes, .drainCPUMicroseconds,
            .drainGeneratorCPUMicroseconds, .fullDiskBytes, .drainedDiskBytes,
        ],
        workloads: sizes.map(backlog),
        targets: sizes.flatMap { _, label -> [Target] in
            let name = "backlog-256-\(label)"
            return [
                .atMost(96 * 1_048_576, .grownMemoryBytes, in: name),
                .atMost(3, .afterKillSeconds, in: name),
                .atMost(1, .afterStopSeconds, in: name),
            ]
        }
            + sizes.dropFirst().map { _, label in
                .atLeast(
                    0.5,
                    .drainMessagesPerSecond,
                    in: "backlog-256-\(label)",
                    per: .workload("backlog-256-\(sizes[0].1)")
                )
            }
    )

    private static let sizes = [
        (10_000, "10k"), (100_000, "100k"), (1_000_000, "1M"), (10_000_000, "10M"),
    ]

    private static func backlog(messages: Int, label: String) -> Workload {
        let load = Load(
            producers: 16,
            window: 100,
            queues: 10,
            isSpread: true,
            messages: messages
        )
        return Workload(
            name: "backlog-256-\(label)",
            summary: "\(messages) messages unread in 10 queues: memory, restart, drain, disk",
            // With a sync for each command ten million would take hours.
            peers: [.beanstalkdF50],
            isLong: messages > 1_000_000,
            isRepeated: false
        ) { stage in try BacklogMeter(stage: stage, load: load, messages: messages).measure() }
    }
}

/// Fills queues, ends and restarts the server, and drains them.
private struct BacklogMeter {
    /// Small backlogs are filled and drained again until so many messages were drained: one drain of
    /// 10,000 takes about 20 ms.
    private static let drainedMin = 500_000
    private static let roundsMax = 40
    /// Files of what was settled may be removed in the background.
    private static let cleanupSeconds = 5.0

    let stage: Stage
    let load: Load
    let messages: Int

    func measure() throws -> Figures {
        var server = try stage.start()
        defer { server.end() }
        let emptyMemory = memory(of: server)
        var figures = Figures([
            .messages: Double(messages),
            .bodyBytes: Double(load.bodyBytes),
            .queues: Double(load.queues),
            .emptyMemoryBytes: emptyMemory,
        ])
        let fill = try run(load, on: server)
        figures[.fillMessagesPerSecond] = fill.messagesPerSecond
        figures[.fillCPUMicroseconds] = fill.serverCPUMicroseconds
        figures[.grownMemoryBytes] = memory(of: server) - emptyMemory
        figures[.fullDiskBytes] = Double(try Files.allocatedBytes(in: stage.directory))

        server.process.end(SIGKILL)
        server = try stage.start()
        figures[.afterKillSeconds] = server.startSeconds
        figures[.afterKillMemoryBytes] = memory(of: server)
        let watch = Stopwatch()
        server.process.end(SIGTERM)
        figures[.stopSeconds] = watch.seconds
        server = try stage.start()
        figures[.afterStopSeconds] = server.startSeconds
        figures[.afterStopMemoryBytes] = memory(of: server)

        figures.add(try measureDrains(of: server))
        return figures
    }

    /// The median of the rates, everything else of all drains together.
    private func measureDrains(of server: RunningServer) throws -> Figures {
        var figures = Figures()
        var drains = [try run(load.drain(), on: server)]
        pause(seconds: Self.cleanupSeconds)
        figures[.drainedDiskBytes] = Double(try Files.allocatedBytes(in: stage.directory))
        while drains.count < min(Self.roundsMax, Self.drainedMin / messages) {
            _ = try run(load, on: server)
            drains.append(try run(load.drain(), on: server))
        }
        let whole = drains.reduce(into: Measurement()) { $0.add($1) }
        figures[.drainMessagesPerSecond] =
            Figures.medians(of: drains.map(\.figures))[.messagesPerSecond]
        figures[.drainPeakMemoryBytes] = Double(whole.peakMemoryBytes)
        figures[.drainCPUMicroseconds] = whole.serverCPUMicroseconds
        figures[.drainGeneratorCPUMicroseconds] = whole.generatorCPUMicroseconds
        return figures
    }

    private func run(_ load: Load, on server: RunningServer) throws -> Measurement {
        try stage.driver.run(load, on: server, queue: stage.queue)
    }

    private func memory(of server: RunningServer) -> Double {
        Double(ProcessUsage.memoryBytes(of: server.process.pid, field: "VmRSS"))
    }
}
