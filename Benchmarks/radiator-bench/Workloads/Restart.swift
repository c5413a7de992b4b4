import Glibc

/// A million unread messages, and the end of the server: when it answers again, and when the first
/// message comes.
extension Family {
    static let restart = Family(
        name: "restart",
        jsonKey: "restarts",
        columns: [
            .messages, .queues, .afterKillSeconds, .afterKillFirstMessageSeconds, .coldKillSeconds,
            .coldKillFirstMessageSeconds, .stopSeconds, .afterStopSeconds,
            .afterStopFirstMessageSeconds, .deviceSyncsPerSecond,
        ],
        workloads: [
            Workload(
                name: "restart-1M",
                summary: "1,000,000 messages in 100 queues: SIGKILL, with a cold cache, SIGTERM",
                peers: [.beanstalkdF50],
                isRepeated: false
            ) { stage in try RestartMeter(stage: stage).measure() }
        ],
        targets: [
            .atMost(3, .afterKillSeconds, in: "restart-1M"),
            .atMost(1, .afterStopSeconds, in: "restart-1M"),
        ]
    )
}

private struct RestartMeter {
    private static let load = Load(
        producers: 16,
        window: 100,
        queues: 100,
        isSpread: true,
        messages: 1_000_000
    )

    let stage: Stage

    func measure() throws -> Figures {
        var server = try stage.start()
        defer { server.end() }
        let fill = try stage.driver.run(Self.load, on: server, queue: stage.queue)
        var figures = Figures([
            .messages: Double(fill.messages),
            .queues: Double(Self.load.queues),
        ])
        server.process.end(SIGKILL)
        server = try stage.start()
        figures[.afterKillSeconds] = server.startSeconds
        figures[.afterKillFirstMessageSeconds] = try firstMessageSeconds(of: server)

        server.process.end(SIGKILL)
        try Files.dropPageCache(of: stage.directory)
        server = try stage.start()
        figures[.coldKillSeconds] = server.startSeconds
        figures[.coldKillFirstMessageSeconds] = try firstMessageSeconds(of: server)

        let watch = Stopwatch()
        server.process.end(SIGTERM)
        figures[.stopSeconds] = watch.seconds
        server = try stage.start()
        figures[.afterStopSeconds] = server.startSeconds
        figures[.afterStopFirstMessageSeconds] = try firstMessageSeconds(of: server)
        return figures
    }

    /// From the start of the program to the oldest message of a queue at its consumer.
    private func firstMessageSeconds(of server: RunningServer) throws -> Double {
        let watch = Stopwatch()
        let frames = StompFrames(load: Self.load, queue: stage.queue)
        let request =
            switch server.wire {
            case .stomp: Wire.stompConnect + frames.peek(queue: 0)
            case .beanstalk: "watch \(stage.queue).0\r\nreserve\r\n"
            }
        guard let client = BlockingClient(port: server.port), client.write(request) else {
            throw Files.failure("\(stage.queue): cannot connect")
        }
        var received: [UInt8] = []
        while try !holdsMessage(received, server.wire) {
            let bytes = client.read()
            guard !bytes.isEmpty else {
                throw LoadError(description: "\(stage.queue): closed before the first message")
            }
            received += bytes
        }
        return server.startSeconds + watch.seconds
    }

    /// True when a whole message is among the replies.
    private func holdsMessage(_ replies: [UInt8], _ wire: Wire) throws -> Bool {
        try replies.withUnsafeBytes { bytes in
            switch wire {
            case .stomp:
                var scanner = StompScanner(bytes: bytes)
                while let frame = try scanner.next() {
                    if frame.kind == .message { return true }
                }
            case .beanstalk:
                var scanner = BeanstalkScanner(bytes: bytes)
                while let reply = try scanner.next() {
                    if reply.kind == .reserved { return true }
                }
            }
            return false
        }
    }
}
