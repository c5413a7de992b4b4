import Glibc
import NIOCore
import NIOPosix

/// What one peer did in one workload, over all rounds.
struct Measurement {
    var messages = 0
    var seconds = 0.0
    var latencies = LatencyHistogram()
    var serverCPUSeconds = 0.0
    var generatorCPUSeconds = 0.0
    var peakMemoryBytes = 0
    /// The disk's own rate, measured before each round.
    var syncsPerSecond: [Double] = []

    var messagesPerSecond: Double { seconds > 0 ? Double(messages) / seconds : 0 }
    var serverCPUMicroseconds: Double { perMessage(serverCPUSeconds) }
    var generatorCPUMicroseconds: Double { perMessage(generatorCPUSeconds) }
    var meanSyncsPerSecond: Double {
        syncsPerSecond.isEmpty ? 0 : syncsPerSecond.reduce(0, +) / Double(syncsPerSecond.count)
    }

    mutating func add(_ other: Measurement) {
        messages += other.messages
        seconds += other.seconds
        latencies.add(other.latencies)
        serverCPUSeconds += other.serverCPUSeconds
        generatorCPUSeconds += other.generatorCPUSeconds
        peakMemoryBytes = max(peakMemoryBytes, other.peakMemoryBytes)
        syncsPerSecond += other.syncsPerSecond
    }

    private func perMessage(_ cpuSeconds: Double) -> Double {
        messages > 0 ? cpuSeconds / Double(messages) * 1e6 : 0
    }
}

/// What a backlog costs a server.
struct BacklogMeasurement {
    var messages = 0
    var emptyMemoryBytes = 0
    var fullMemoryBytes = 0
    var restartSeconds = 0.0
    var restartedMemoryBytes = 0
}

/// Drives one workload against one server.
///
/// All connections share one event loop.
struct LoadDriver {
    /// How long the end of a run may take after the last message was sent.
    private static let endSeconds = 60.0

    let loop: any EventLoop

    /// Runs the workload for some seconds, or to its own end.
    func run(
        _ workload: Workload,
        wire: Wire,
        port: Int,
        pid: pid_t,
        queue: String,
        seconds: Double
    ) throws -> Measurement {
        let ready = loop.makePromise(of: Void.self)
        let done = loop.makePromise(of: Void.self)
        let run = try loop.submit {
            NIOLoopBound(LoadRun(workload: workload, ready: ready, done: done), eventLoop: loop)
        }.wait()
        let channels = try connect(run, wire: wire, port: port, queue: queue)
        defer { for channel in channels { channel.close(mode: .all, promise: nil) } }
        try waitFor(ready.futureResult, atMost: 30, what: "\(workload.name): connecting")

        ProcessUsage.resetPeakMemory(of: pid)
        let cpuBefore = (ProcessUsage.cpuSeconds(of: pid), ProcessUsage.cpuSeconds(of: getpid()))
        let watch = Stopwatch()
        loop.execute { run.value.start() }
        if case .backlog = workload.kind {
            try waitFor(done.futureResult, atMost: 600, what: workload.name)
        } else {
            loop.scheduleTask(in: .nanoseconds(Int64(seconds * 1e9))) { run.value.stop() }
            try waitFor(
                done.futureResult,
                atMost: seconds + Self.endSeconds,
                what: workload.name
            )
        }
        var result = Measurement()
        result.seconds = watch.seconds
        result.serverCPUSeconds = ProcessUsage.cpuSeconds(of: pid) - cpuBefore.0
        result.generatorCPUSeconds = ProcessUsage.cpuSeconds(of: getpid()) - cpuBefore.1
        result.peakMemoryBytes = ProcessUsage.memoryBytes(of: pid)
        (result.messages, result.latencies) = try loop.submit {
            (run.value.sent, run.value.latencies)
        }.wait()
        return result
    }

    private func connect(
        _ run: NIOLoopBound<LoadRun>,
        wire: Wire,
        port: Int,
        queue: String
    ) throws -> [any Channel] {
        let workload = try loop.submit { run.value.workload }.wait()
        let producers = (0..<workload.producers).map { number in
            open(port: port) {
                let name = "\(queue).\(number % workload.queues)"
                switch wire {
                case .stomp: Self.add(StompProducer(run: run.value, queue: name), run, to: $0)
                case .beanstalk:
                    Self.add(BeanstalkProducer(run: run.value, queue: name), run, to: $0)
                }
            }
        }
        let consumers = (0..<workload.consumers).map { number in
            open(port: port) {
                let name = "\(queue).\(number)"
                switch wire {
                case .stomp: Self.add(StompConsumer(run: run.value, queue: name), run, to: $0)
                case .beanstalk:
                    Self.add(BeanstalkConsumer(run: run.value, queue: name), run, to: $0)
                }
            }
        }
        return try EventLoopFuture.whenAllSucceed(producers + consumers, on: loop).wait()
    }

    private func open(
        port: Int,
        setUp: @escaping @Sendable (any Channel) -> Void
    ) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { setUp(channel) }
            }
            .connect(host: "127.0.0.1", port: port)
    }

    private static func add(
        _ role: some LoadRole,
        _ run: NIOLoopBound<LoadRun>,
        to channel: any Channel
    ) {
        let connection = LoadConnection(role: role, run: run.value)
        run.value.add(connection)
        do {
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            run.value.fail(error)
        }
    }

    private func waitFor(_ future: EventLoopFuture<Void>, atMost seconds: Double, what: String)
        throws
    {
        let result = loop.makePromise(of: Void.self)
        future.cascade(to: result)
        let timeout = loop.scheduleTask(in: .nanoseconds(Int64(seconds * 1e9))) {
            result.fail(LoadError(description: "\(what): no end within \(Int(seconds)) s"))
        }
        defer { timeout.cancel() }
        try result.futureResult.wait()
    }
}
