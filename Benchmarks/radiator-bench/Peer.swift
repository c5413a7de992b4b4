import Glibc
import NIOCore
import NIOPosix

/// A server under test that is running.
struct RunningServer {
    let process: ChildProcess
    let port: Int
    let wire: Wire
    /// From the start of the program to the first reply to a client.
    let startSeconds: Double
    /// Whatever else must run beside it; ended after it.
    var helpers: [ChildProcess] = []

    func end() {
        process.end()
        for helper in helpers { helper.end() }
    }
}

/// The protocol that a peer is driven with.
enum Wire: Sendable {
    case stomp, beanstalk

    static let stompConnect =
        "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0"

    /// Something that every server answers at once when it is ready.
    var greeting: String {
        switch self {
        case .stomp: Self.stompConnect
        case .beanstalk: "list-tube-used\r\n"
        }
    }
}

/// A kind of server that the benchmark can start.
protocol Peer {
    var name: String { get }
    /// True when every workload gets a new process on a new directory.
    var startsFresh: Bool { get }
    /// The same server as it takes part in the workloads with a backlog; nil when it does not.
    var forBacklog: (any Peer)? { get }

    /// Starts it on `directory`, which may hold the data of an earlier run, and waits until it
    /// answers.
    func start(in directory: String) throws -> RunningServer
}

/// The daemon that all this is about.
struct RadiatorPeer: Peer {
    static let radiatorName = "radiator"

    let name = radiatorName
    let startsFresh = true
    let daemon: String

    var forBacklog: (any Peer)? { self }

    func start(in directory: String) throws -> RunningServer {
        let log = "\(directory)/log"
        unlink(log)
        let watch = Stopwatch()
        let process = try ChildProcess(
            [daemon, "--data", "\(directory)/data", "--listen", "127.0.0.1:0"],
            log: log
        )
        for _ in 0..<60_000 {
            if let port = Files.read(log).flatMap(Self.port) {
                try Ports.wait(for: port, .stomp, of: process, seconds: 10)
                return RunningServer(
                    process: process,
                    port: port,
                    wire: .stomp,
                    startSeconds: watch.seconds
                )
            }
            guard process.isAlive else { break }
            usleep(1000)
        }
        throw LoadError(description: "radiatord did not start: \(Files.read(log) ?? "")")
    }

    /// The port in the line that says where the daemon is listening.
    private static func port(in log: String) -> Int? {
        guard let line = log.split(separator: "\n").first(where: { $0.contains("listening") }),
            let address = line.firstRange(of: "127.0.0.1:")
        else { return nil }
        return Int(line[address.upperBound...].prefix(while: \.isNumber))
    }
}

/// beanstalkd with its log on.
struct BeanstalkdPeer: Peer {
    static let program = "/usr/bin/beanstalkd"

    let startsFresh = true
    /// Its log is synced at most so often; 0 is for every command.
    var syncMilliseconds = 0
    var logFileBytes = 1 << 20

    var name: String { "beanstalkd -f \(syncMilliseconds)" }

    /// Ten million commands with a sync each would take hours.
    var forBacklog: (any Peer)? {
        BeanstalkdPeer(syncMilliseconds: 50, logFileBytes: 10 << 20)
    }

    func start(in directory: String) throws -> RunningServer {
        let data = "\(directory)/data"
        try Files.makeDirectory(data)
        let port = try Ports.free(1)[0]
        let watch = Stopwatch()
        let process = try ChildProcess(
            [
                Self.program, "-l", "127.0.0.1", "-p", "\(port)", "-b", data,
                "-f", "\(syncMilliseconds)", "-z", "\(logFileBytes)",
            ],
            log: "\(directory)/log"
        )
        try Ports.wait(for: port, .beanstalk, of: process, seconds: 600)
        return RunningServer(
            process: process,
            port: port,
            wire: .beanstalk,
            startSeconds: watch.seconds
        )
    }
}

/// RabbitMQ with its STOMP plugin; durable queues, persistent messages, receipts are confirms.
struct RabbitMQPeer: Peer {
    static let program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    let name = "rabbitmq"
    // Its start takes seconds of CPU.
    let startsFresh = false
    let forBacklog: (any Peer)? = nil

    func start(in directory: String) throws -> RunningServer {
        let ports = try Ports.free(4)
        try Files.write("[rabbitmq_stomp].\n", to: "\(directory)/enabled_plugins")
        try Files.write(
            """
            listeners.tcp.1 = 127.0.0.1:\(ports[1])
            stomp.listeners.tcp.1 = 127.0.0.1:\(ports[0])
            loopback_users.guest = true
            disk_free_limit.absolute = 1GB
            log.console = true
            log.console.level = warning
            log.file = false

            """,
            to: "\(directory)/rabbitmq.conf"
        )
        let nameServer = try ChildProcess(
            ["epmd", "-address", "127.0.0.1", "-port", "\(ports[2])"],
            log: "\(directory)/epmd.log"
        )
        let environment = [
            "HOME": directory,
            // With it the start script becomes the server instead of staying its parent.
            "NOTIFY_SOCKET": "/nonexistent",
            "RABBITMQ_NODENAME": "radiatorbench@localhost",
            "RABBITMQ_MNESIA_BASE": "\(directory)/data",
            "RABBITMQ_LOG_BASE": "\(directory)/logs",
            "RABBITMQ_CONFIG_FILE": "\(directory)/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(directory)/enabled_plugins",
            "RABBITMQ_DIST_PORT": "\(ports[3])",
            "ERL_EPMD_PORT": "\(ports[2])",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        ]
        let watch = Stopwatch()
        let process = try ChildProcess(
            [Self.program],
            environment: environment,
            log: "\(directory)/log"
        )
        try Ports.wait(for: ports[0], .stomp, of: process, seconds: 120)
        return RunningServer(
            process: process,
            port: ports[0],
            wire: .stomp,
            startSeconds: watch.seconds,
            helpers: [nameServer]
        )
    }
}

/// Ports of the loopback interface.
enum Ports {
    /// Ports that nobody used a moment ago, all different.
    static func free(_ count: Int) throws -> [Int] {
        let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        defer { sockets.forEach { close($0) } }
        return try sockets.map { socket in
            var address = loopback(port: 0)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
                }
            }
            guard status else { throw Files.failure("no free port") }
            return Int(in_port_t(bigEndian: address.sin_port))
        }
    }

    /// Waits until a server answers there.
    ///
    /// That something accepts connections says little: beanstalkd listens first, then reads its log.
    static func wait(for port: Int, _ wire: Wire, of process: ChildProcess, seconds: Int) throws {
        let watch = Stopwatch()
        while watch.seconds < Double(seconds), process.isAlive {
            if isAnswered(port: port, wire.greeting, seconds: seconds) { return }
            usleep(2000)
        }
        throw LoadError(description: "nothing answers on port \(port)")
    }

    private static func isAnswered(port: Int, _ greeting: String, seconds: Int) -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(probe) }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(
            probe,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
        var address = loopback(port: port)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0, write(probe, greeting, greeting.utf8.count) > 0 else { return false }
        var first: UInt8 = 0
        return read(probe, &first, 1) == 1
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return address
    }
}
