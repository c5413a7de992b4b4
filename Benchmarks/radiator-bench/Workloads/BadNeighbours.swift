import Glibc
import NIOCore
import NIOPosix

/// What clients that stall and misbehave cost the others.
extension Family {
    static let neighbours = Family(
        name: "bad-neighbours",
        jsonKey: "neighbours",
        columns: [
            .aloneMessagesPerSecond, .besideMessagesPerSecond, .rateShare, .aloneP99Microseconds,
            .besideP99Microseconds, .latencyFactor, .badConnectionsPerSecond, .peakMemoryBytes,
            .deviceSyncsPerSecond,
        ],
        workloads: [
            Workload(
                name: "bad-neighbours",
                summary: "2 producers to 2 consumers, alone and beside clients that misbehave"
            ) { stage in try NeighboursMeter(stage: stage).measure() }
        ],
        targets: [
            .atLeast(0.9, .rateShare, in: "bad-neighbours"),
            .atMost(2, .latencyFactor, in: "bad-neighbours"),
            // With fewer the bad ones were held up themselves, and the result means little.
            .atLeast(80, .badConnectionsPerSecond, in: "bad-neighbours"),
        ]
    )
}

/// One turn alone, and one beside them.
private struct NeighboursMeter {
    let stage: Stage

    func measure() throws -> Figures {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { group.shutdownGracefully { _ in } }
        // Each begins with new files.
        let alone = try stage.inside("alone").withServer(run)
        var badConnectionsPerSecond = 0.0
        let beside = try stage.inside("beside").withServer { server in
            let others = try BadNeighbours(port: server.port, loop: group.next())
            let result = try run(on: server)
            badConnectionsPerSecond = try others.stop()
            return result
        }
        return figures(alone, beside, badConnectionsPerSecond)
    }

    private func run(on server: RunningServer) throws -> Measurement {
        try stage.run(.pipe(2, bodyBytes: 256), on: server)
    }

    private func figures(
        _ alone: Measurement,
        _ beside: Measurement,
        _ badConnectionsPerSecond: Double
    ) -> Figures {
        let aloneP99 = alone.deliveries.microseconds(0.99)
        let besideP99 = beside.deliveries.microseconds(0.99)
        return Figures([
            .aloneMessagesPerSecond: alone.messagesPerSecond,
            .besideMessagesPerSecond: beside.messagesPerSecond,
            .rateShare: beside.messagesPerSecond / alone.messagesPerSecond,
            .aloneP99Microseconds: aloneP99,
            .besideP99Microseconds: besideP99,
            .latencyFactor: besideP99 / max(1, aloneP99),
            .badConnectionsPerSecond: badConnectionsPerSecond,
            .peakMemoryBytes: Double(beside.peakMemoryBytes),
        ])
    }
}

/// Clients that do what no good client does, on an event loop of their own.
///
/// Once: subscribers of a busy topic and of a queue that never read, connections that say nothing, frames
/// that end in the middle, transactions left open, a thousand subscriptions on one connection. And all the
/// time: messages to that topic, connections that come and go, frames that are none.
final class BadNeighbours: Sendable {
    private static let stalled = 100
    private static let silent = 500
    private static let unfinished = 50
    private static let openTransactions = 20
    private static let manySubscriptions = 10
    /// Of messages to the topic, and of connections with something forbidden.
    private static let perSecond = 100

    /// `SCHED_IDLE` of <sched.h>, which Glibc's module leaves out.
    private static let idleClass: Int32 = 5

    private let loop: any EventLoop
    private let address: SocketAddress
    private let held: NIOLoopBound<State>

    /// Channels that are open, and whether it goes on.
    ///
    /// Confinement: the loop.
    private final class State {
        var channels: [any Channel] = []
        var isGoingOn = true
        var badConnections = 0
        var watch = Stopwatch()
    }

    /// Connects all of them; returns when they have said what they say once.
    init(port: Int, loop: any EventLoop) throws {
        self.loop = loop
        // Not by name, which NIO would look up on other threads for each connection.
        address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        held = try loop.submit {
            // What they cost the broker is asked for, not what their own work takes from the cores that
            // the broker runs on. The class gives way only to threads of the same control group, and so
            // not to the kernel's that complete the disk's writes: the work must be small, too. (On Linux
            // this is the calling thread alone.)
            var parameters = sched_param(sched_priority: 0)
            sched_setscheduler(0, Self.idleClass, &parameters)
            return NIOLoopBound(State(), eventLoop: loop)
        }.wait()
        let connect = Wire.stompConnect
        let stall =
            connect + "SUBSCRIBE\nid:1\ndestination:/topic/flood\n\n\0"
            + "SUBSCRIBE\nid:2\ndestination:/queue/stalled\nack:auto\n\n\0"
        for _ in 0..<Self.stalled { try hold(stall, reads: false) }
        for _ in 0..<Self.silent { try hold("", reads: true) }
        let half = connect + "SEND\ndestination:/queue/x\ncontent-length:1000000\n\n"
        let hundred = String(repeating: "x", count: 100_000)
        for _ in 0..<Self.unfinished { try hold(half + hundred, reads: true) }
        let send =
            "SEND\ndestination:/queue/x\ntransaction:t\ncontent-length:100000\n\n\(hundred)\0"
        for _ in 0..<Self.openTransactions {
            try hold(
                connect + "BEGIN\ntransaction:t\n\n\0" + String(repeating: send, count: 10),
                reads: true
            )
        }
        let subscriptions = (0..<1000).map {
            "SUBSCRIBE\nid:\($0)\ndestination:/queue/many.\($0)\nack:client\n\n\0"
        }
        for _ in 0..<Self.manySubscriptions {
            try hold(connect + subscriptions.joined(), reads: true)
        }
        let publisher = try open(ByteBuffer(string: connect), reads: true).wait()
        let held = held
        loop.execute {
            held.value.channels.append(publisher)
            held.value.watch = Stopwatch()
        }
        goOn(publisher, since: .now(), done: 0)
    }

    /// Ends all of them; returns how many connections a second came and went.
    func stop() throws -> Double {
        let held = held
        return try loop.submit {
            held.value.isGoingOn = false
            for channel in held.value.channels { channel.close(promise: nil) }
            return Double(held.value.badConnections) / held.value.watch.seconds
        }.wait()
    }

    // Made once: this thread is to need as little of the cores as it can.
    private static let flood = ByteBuffer(
        string: "SEND\ndestination:/topic/flood\ncontent-length:1000\n\n"
            + String(repeating: "x", count: 1000) + "\0"
    )
    private static let bombs = [
        "CONNECT\na:" + String(repeating: "b", count: 70_000) + "\n\n\0",
        Wire.stompConnect + "NONSENSE\n\n\0", "GET / HTTP/1.1\r\n\r\n", "",
    ].map(ByteBuffer.init(string:))

    private func hold(_ text: String, reads: Bool) throws {
        let channel = try open(ByteBuffer(string: text), reads: reads).wait()
        let held = held
        loop.execute { held.value.channels.append(channel) }
    }

    private func open(_ bytes: ByteBuffer, reads: Bool) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: loop)
            .channelOption(.autoRead, value: reads)
            .channelOption(.socketOption(.so_rcvbuf), value: 4096)
            .connect(to: address)
            .map { channel in
                if bytes.readableBytes > 0 { channel.writeAndFlush(bytes, promise: nil) }
                return channel
            }
    }

    /// As many as are due by now, also when this thread had to wait for its turn.
    private func goOn(_ publisher: any Channel, since begin: NIODeadline, done: Int) {
        let held = held
        loop.scheduleTask(in: .milliseconds(20)) { [self] in
            guard held.value.isGoingOn else { return }
            let seconds = Double((NIODeadline.now() - begin).nanoseconds) / 1e9
            let due = max(done, Int(seconds * Double(Self.perSecond)))
            for index in done..<due {
                publisher.writeAndFlush(Self.flood, promise: nil)
                let bomb = Self.bombs[index % Self.bombs.count]
                open(bomb, reads: true).whenSuccess { channel in
                    held.value.badConnections += 1
                    channel.eventLoop.scheduleTask(in: .milliseconds(50)) {
                        channel.close(promise: nil)
                    }
                }
            }
            goOn(publisher, since: begin, done: due)
        }
    }
}
