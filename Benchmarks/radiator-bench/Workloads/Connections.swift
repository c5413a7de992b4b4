import Glibc
import NIOCore

/// Ten thousand connections that say nothing: how fast they come, what each of them holds.
extension Family {
    static let idle = Family(
        name: "idle",
        jsonKey: "connections",
        columns: [
            .connections, .connectsPerSecond, .memoryBytesPerConnection, .idleCPUShare,
            .cpuMicrosecondsPerConnect, .generatorCPUMicrosecondsPerConnect,
        ],
        workloads: [
            Workload(
                name: "idle-connections",
                summary: "10,000 connections with heart-beats from the server, otherwise silent",
                peers: [.beanstalkdF50]
            ) { stage in try stage.withServer { try Crowd(stage: stage, server: $0).measureIdle() }
            }
        ],
        targets: [
            .atMost(6000, .memoryBytesPerConnection, in: "idle-connections"),
            .atLeast(8000, .connectsPerSecond, in: "idle-connections"),
        ]
    )
}

/// Connections that come, say who they are, and go.
extension Family {
    static let churn = Family(
        name: "churn",
        jsonKey: "connections",
        columns: [
            .connections, .connectsPerSecond, .cpuMicrosecondsPerConnect,
            .generatorCPUMicrosecondsPerConnect, .peakMemoryBytes,
        ],
        workloads: [
            Workload(
                name: "churn",
                summary: "connections that come and go, 200 at a time",
                peers: [.beanstalkdF50]
            ) { stage in try stage.withServer { try Crowd(stage: stage, server: $0).measureChurn() }
            }
        ],
        targets: [.atLeast(8000, .connectsPerSecond, in: "churn")]
    )
}

/// Many connections to one server; answers are waited for while others are under way.
private struct Crowd {
    private static let idleCount = 10_000
    /// Connections that wait for their first answer, and that wait for their end.
    private static let underWayCount = 100
    /// The server sends heart-beats every 7.5 s; the client need not.
    private static let stompGreeting =
        "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\nheart-beat:0,10000\n\n\0"

    let stage: Stage
    let server: RunningServer

    func measureIdle() throws -> Figures {
        let emptyBytes = ProcessUsage.memoryBytes(of: pid, field: "VmRSS")
        let costs = Costs(of: pid)
        var clients: [BlockingClient] = []
        for number in 0..<Self.idleCount {
            clients.append(try greet())
            if number >= Self.underWayCount {
                try waitForAnswer(to: clients[number - Self.underWayCount])
            }
        }
        for client in clients.suffix(Self.underWayCount) { try waitForAnswer(to: client) }
        var figures = costs.figures(connections: clients.count)

        pause(seconds: Stage.restSeconds)
        let fullBytes = ProcessUsage.memoryBytes(of: pid, field: "VmRSS")
        figures[.memoryBytesPerConnection] = Double(fullBytes - emptyBytes) / Double(clients.count)
        let idle = Costs(of: pid)
        pause(seconds: stage.seconds)
        figures[.idleCPUShare] = idle.serverCPUSeconds / idle.seconds
        return withExtendedLifetime(clients) { figures }
    }

    func measureChurn() throws -> Figures {
        ProcessUsage.resetPeakMemory(of: pid)
        let costs = Costs(of: pid)
        var coming = CircularBuffer<BlockingClient>()
        var going = CircularBuffer<BlockingClient>()
        var goneCount = 0
        while costs.seconds < stage.seconds {
            coming.append(try greet())
            if coming.count > Self.underWayCount {
                let client = coming.removeFirst()
                try waitForAnswer(to: client)
                try say(farewell, to: client)
                going.append(client)
            }
            if going.count > Self.underWayCount {
                // Until the server has closed it, a connection has not gone.
                let client = going.removeFirst()
                while !client.read().isEmpty {}
                goneCount += 1
            }
        }
        var figures = costs.figures(connections: goneCount)
        figures[.peakMemoryBytes] = Double(ProcessUsage.memoryBytes(of: pid))
        return figures
    }

    private var pid: pid_t { server.process.pid }

    private func greet() throws -> BlockingClient {
        guard let client = BlockingClient(port: server.port) else {
            throw Files.failure("\(stage.queue): cannot connect")
        }
        try say(greeting, to: client)
        return client
    }

    private func waitForAnswer(to client: BlockingClient) throws {
        guard client.read().isEmpty else { return }
        throw LoadError(description: "\(stage.queue): a new connection was closed")
    }

    private func say(_ text: String, to client: BlockingClient) throws {
        guard client.write(text) else { throw Files.failure("\(stage.queue): cannot write") }
    }

    private var greeting: String {
        switch server.wire {
        case .stomp: Self.stompGreeting
        case .beanstalk: server.wire.greeting
        }
    }

    private var farewell: String {
        switch server.wire {
        case .stomp: "DISCONNECT\nreceipt:end\n\n\0"
        case .beanstalk: "quit\r\n"
        }
    }
}

/// Time and CPU since it was made; the CPU of the few that are under way at the end is in it.
private struct Costs {
    private let pid: pid_t
    private let watch = Stopwatch()
    private let serverBefore: Double
    private let generatorBefore: Double

    init(of pid: pid_t) {
        self.pid = pid
        serverBefore = ProcessUsage.cpuSeconds(of: pid)
        generatorBefore = ProcessUsage.cpuSeconds(of: getpid())
    }

    var seconds: Double { watch.seconds }
    var serverCPUSeconds: Double { ProcessUsage.cpuSeconds(of: pid) - serverBefore }

    func figures(connections: Int) -> Figures {
        let count = Double(connections)
        let generator = ProcessUsage.cpuSeconds(of: getpid()) - generatorBefore
        return Figures([
            .connections: count,
            .connectsPerSecond: count / seconds,
            .cpuMicrosecondsPerConnect: serverCPUSeconds / count * 1e6,
            .generatorCPUMicrosecondsPerConnect: generator / count * 1e6,
        ])
    }
}
