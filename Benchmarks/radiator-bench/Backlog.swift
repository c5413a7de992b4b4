import Glibc

/// What a backlog costs a server.
struct BacklogMeasurement {
    /// A start on the directory as it is, and what the process took right after it.
    struct Restart {
        var seconds = 0.0
        var memoryBytes = 0
    }

    var messages = 0
    var emptyMemoryBytes = 0
    var fullMemoryBytes = 0
    var fill = Measurement()
    var afterKill = Restart()
    /// How long SIGTERM took to end it.
    var stopSeconds = 0.0
    var afterStop = Restart()
    /// All drains together.
    var drain = Measurement()
    var drainRates: [Double] = []
    var fullDiskBytes = 0
    var drainedDiskBytes = 0

    var grownMemoryBytes: Int { fullMemoryBytes - emptyMemoryBytes }

    /// The median of the drains, in messages a second.
    var drainRate: Double {
        drainRates.isEmpty ? 0 : drainRates.sorted()[drainRates.count / 2]
    }
}

/// Fills queues, ends and restarts the server, and drains them.
struct BacklogMeter {
    /// Small backlogs are filled and drained again until so many messages were drained: one drain of
    /// 10,000 takes about 20 ms.
    private static let drainedMin = 500_000
    private static let roundsMax = 40
    /// Files of what was settled may be removed in the background.
    private static let cleanupSeconds: UInt32 = 5

    let workload: Workload
    let peer: any Peer
    let driver: LoadDriver
    let directory: String

    func measure() throws -> BacklogMeasurement {
        let load = workload.load
        var result = BacklogMeasurement(messages: load.messages ?? 0)
        var server = try peer.start(in: directory)
        defer { server.end() }
        result.emptyMemoryBytes = memory(of: server)
        result.fill = try driver.run(load, on: server, queue: workload.name)
        result.fullMemoryBytes = memory(of: server)
        result.fullDiskBytes = try Files.allocatedBytes(in: directory)

        server.process.end(SIGKILL)
        server = try peer.start(in: directory)
        result.afterKill = restart(of: server)
        let watch = Stopwatch()
        server.process.end(SIGTERM)
        result.stopSeconds = watch.seconds
        server = try peer.start(in: directory)
        result.afterStop = restart(of: server)

        try drain(server, into: &result)
        sleep(Self.cleanupSeconds)
        result.drainedDiskBytes = try Files.allocatedBytes(in: directory)
        let rounds = min(Self.roundsMax, Self.drainedMin / max(1, result.messages))
        while result.drainRates.count < rounds {
            _ = try driver.run(load, on: server, queue: workload.name)
            try drain(server, into: &result)
        }
        return result
    }

    private func drain(_ server: RunningServer, into result: inout BacklogMeasurement) throws {
        let drain = try driver.run(workload.load.drain, on: server, queue: workload.name)
        result.drain.add(drain)
        result.drainRates.append(drain.messagesPerSecond)
    }

    private func restart(of server: RunningServer) -> BacklogMeasurement.Restart {
        BacklogMeasurement.Restart(
            seconds: server.startSeconds,
            memoryBytes: memory(of: server)
        )
    }

    private func memory(of server: RunningServer) -> Int {
        ProcessUsage.memoryBytes(of: server.process.pid, field: "VmRSS")
    }
}
