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

/// Drives one load against one server.
///
/// All connections share one event loop.
struct LoadDriver {
    /// How long the end of a run may take after the last message was sent.
    private static let endSeconds = 60.0
    /// A load with a number of messages may take so long: a slow server does so many a second.
    private static let slowMessagesPerSecond = 1000.0

    let loop: any EventLoop

    /// Runs the load to its own end, or for some seconds when it has none.
    ///
    /// `queue` is the first part of the queues' names.
    func run(
        _ load: Load,
        on server: RunningServer,
        queue: String,
        seconds: Double = 0
    ) throws -> Measurement {
        let ready = loop.makePromise(of: Void.self)
        let done = loop.makePromise(of: Void.self)
        let run = try loop.submit {
            NIOLoopBound(LoadRun(load: load, ready: ready, done: done), eventLoop: loop)
        }.wait()
        let channels = try connect(run, load, to: server, queue: queue)
        defer { for channel in channels { channel.close(mode: .all, promise: nil) } }
        try waitFor(ready.futureResult, atMost: 30, what: "\(queue): connecting")

        let pid = server.process.pid
        ProcessUsage.resetPeakMemory(of: pid)
        let cpuBefore = (ProcessUsage.cpuSeconds(of: pid), ProcessUsage.cpuSeconds(of: getpid()))
        let watch = Stopwatch()
        loop.execute { run.value.start() }
        let isBounded = load.messages != nil || load.waiting > 0
        if !isBounded {
            loop.scheduleTask(in: .nanoseconds(Int64(seconds * 1e9))) { run.value.stop() }
        }
        let bounded = Double((load.messages ?? 0) + load.waiting) / Self.slowMessagesPerSecond
        try waitFor(
            done.futureResult,
            atMost: (isBounded ? bounded : seconds) + Self.endSeconds,
            what: queue
        )
        var result = Measurement()
        result.seconds = watch.seconds
        result.serverCPUSeconds = ProcessUsage.cpuSeconds(of: pid) - cpuBefore.0
        result.generatorCPUSeconds = ProcessUsage.cpuSeconds(of: getpid()) - cpuBefore.1
        result.peakMemoryBytes = ProcessUsage.memoryBytes(of: pid)
        (result.messages, result.latencies) = try loop.submit {
            (load.producers > 0 ? run.value.sent : run.value.delivered, run.value.latencies)
        }.wait()
        return result
    }

    private func connect(
        _ run: NIOLoopBound<LoadRun>,
        _ load: Load,
        to server: RunningServer,
        queue: String
    ) throws -> [any Channel] {
        let wire = server.wire
        let producers = (0..<load.producers).map { number in
            open(port: server.port) { channel in
                let run = run.value
                switch wire {
                case .stomp:
                    let role = StompProducer(run: run, number: number, queue: queue)
                    Self.add(role, run, to: channel)
                case .beanstalk:
                    let role = BeanstalkProducer(run: run, number: number, queue: queue)
                    Self.add(role, run, to: channel)
                }
            }
        }
        let consumers = (0..<load.consumers).map { number in
            open(port: server.port) { channel in
                let run = run.value
                switch wire {
                case .stomp:
                    let role = StompConsumer(run: run, number: number, queue: queue)
                    Self.add(role, run, to: channel)
                case .beanstalk:
                    let role = BeanstalkConsumer(run: run, number: number, queue: queue)
                    Self.add(role, run, to: channel)
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
        _ run: LoadRun,
        to channel: any Channel
    ) {
        let connection = LoadConnection(role: role, run: run)
        run.add(connection)
        do {
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            run.fail(error)
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
