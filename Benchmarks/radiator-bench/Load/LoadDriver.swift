import Glibc
import NIOCore
import NIOPosix

/// Drives one load against one server.
///
/// All connections share one event loop.
struct LoadDriver {
    /// How long the end of a run may take after the last message was sent.
    private static let endSeconds = 120.0
    /// A load with a number of messages may take so long: a slow server does so many a second.
    private static let slowMessagesPerSecond = 1000.0
    /// Ahead of the clock, so that connections, files and caches are as they stay.
    private static let warmUpSeconds = 0.25
    /// A paced load looks for what is due no more often: finer steps cost more than they tell.
    private static let tickNanoseconds: UInt64 = 50_000

    let loop: any EventLoop

    /// Runs the load to its own end, or for some seconds when it has none.
    ///
    /// `queue` is the first part of the queues' names. What is counted: a load that ends by itself from
    /// its first message to its last receipt, or that of the consumers' DISCONNECT; any other, what
    /// happens between two moments of full work, with the latencies of all that was under way then.
    func run(
        _ load: Load,
        on server: RunningServer,
        queue: String,
        seconds: Double = 0
    ) throws -> Measurement {
        let ready = loop.makePromise(of: Void.self)
        let done = loop.makePromise(of: Void.self)
        let pid = server.process.pid
        let meter = try loop.submit {
            let run = LoadRun(load: load, ready: ready, done: done)
            return NIOLoopBound(LoadMeter(run: run, pid: pid), eventLoop: loop)
        }.wait()
        let channels = try connect(meter, load, to: server, queue: queue)
        defer { for channel in channels { channel.close(mode: .all, promise: nil) } }
        try waitFor(ready.futureResult, atMost: Self.endSeconds, what: "\(queue): connecting")

        ProcessUsage.resetPeakMemory(of: pid)
        loop.execute {
            if load.isBounded { meter.value.begin() }
            meter.value.run.start()
            keepPace(meter)
        }
        if load.isBounded {
            done.futureResult.whenSuccess { meter.value.end() }
        } else {
            schedule(after: Self.warmUpSeconds) { meter.value.begin() }
            schedule(after: Self.warmUpSeconds + seconds) {
                meter.value.end()
                meter.value.run.stop()
            }
        }
        let bounded = Double((load.messages ?? 0) + load.waiting) / Self.slowMessagesPerSecond
        try waitFor(
            done.futureResult,
            atMost: (load.isBounded ? bounded : seconds) + Self.endSeconds,
            what: queue
        )
        return try loop.submit { meter.value.measurement }.wait()
    }

    private func schedule(after seconds: Double, _ action: @escaping @Sendable () -> Void) {
        loop.scheduleTask(in: .nanoseconds(Int64(seconds * 1e9)), action)
    }

    /// Sends what is due, again and again, if the load has a pace.
    private func keepPace(_ meter: NIOLoopBound<LoadMeter>) {
        guard let due = meter.value.run.nextDue else { return }
        let soon = NIODeadline.now().uptimeNanoseconds + Self.tickNanoseconds
        loop.scheduleTask(deadline: .uptimeNanoseconds(max(due, soon))) {
            meter.value.run.refillProducers()
            keepPace(meter)
        }
    }

    private func connect(
        _ meter: NIOLoopBound<LoadMeter>,
        _ load: Load,
        to server: RunningServer,
        queue: String
    ) throws -> [any Channel] {
        let wire = server.wire
        let producers = (0..<load.producers).map { number in
            open(meter, port: server.port) { run in
                switch wire {
                case .stomp: StompProducer(run: run, number: number, queue: queue)
                case .beanstalk: BeanstalkProducer(run: run, number: number, queue: queue)
                }
            }
        }
        let consumers = (0..<load.consumers).map { number in
            open(meter, port: server.port) { run in
                switch wire {
                case .stomp: StompConsumer(run: run, number: number, queue: queue)
                case .beanstalk: BeanstalkConsumer(run: run, number: number, queue: queue)
                }
            }
        }
        return try EventLoopFuture.whenAllSucceed(producers + consumers, on: loop).wait()
    }

    /// Connects, with a role of the run behind the socket.
    private func open(
        _ meter: NIOLoopBound<LoadMeter>,
        port: Int,
        role: @escaping @Sendable (LoadRun) -> any LoadRole
    ) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let run = meter.value.run
                    Self.add(role(run), run, to: channel)
                }
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

/// Counts what a run does between two moments.
///
/// Confinement: load loop.
private final class LoadMeter {
    private struct Moment {
        let time = Stopwatch()
        let progress: Int
        let serverCPUSeconds: Double
        let generatorCPUSeconds: Double
    }

    let run: LoadRun
    private let pid: pid_t
    private var first: Moment?
    private var counted = Measurement()

    init(run: LoadRun, pid: pid_t) {
        self.run = run
        self.pid = pid
    }

    func begin() {
        run.resetLatencies()
        first = now
    }

    func end() {
        guard let first else { return }
        let last = now
        counted.messages = last.progress - first.progress
        counted.seconds = first.time.seconds
        counted.serverCPUSeconds = last.serverCPUSeconds - first.serverCPUSeconds
        counted.generatorCPUSeconds = last.generatorCPUSeconds - first.generatorCPUSeconds
    }

    /// Complete once the run has ended: the latencies of the last messages belong to it.
    var measurement: Measurement {
        var result = counted
        result.receipts = run.receipts
        result.deliveries = run.deliveries
        result.peakMemoryBytes = ProcessUsage.memoryBytes(of: pid)
        return result
    }

    private var now: Moment {
        Moment(
            progress: run.progress,
            serverCPUSeconds: ProcessUsage.cpuSeconds(of: pid),
            generatorCPUSeconds: ProcessUsage.cpuSeconds(of: getpid())
        )
    }
}
