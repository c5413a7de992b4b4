import Glibc
import NIOCore
import NIOPosix

/// A server under test that is running.
struct RunningServer {
    let process: ChildProcess
    let port: Int
    /// Whatever else must run beside it; ended after it.
    var helpers: [ChildProcess] = []

    func end() {
        process.end()
        for helper in helpers { helper.end() }
    }
}

/// The protocol that a peer is driven with.
enum Wire: Sendable { case stomp, beanstalk }

/// A kind of server that the benchmark can start.
protocol Peer {
    var name: String { get }
    var wire: Wire { get }
    /// True when every workload gets a new process on a new directory.
    var startsFresh: Bool { get }

    /// Starts it on `directory`, which may hold the data of an earlier run, and waits for its port.
    func start(in directory: String) throws -> RunningServer
}

/// The daemon that all this is about.
struct RadiatorPeer: Peer {
    let name = "radiator"
    let wire = Wire.stomp
    let startsFresh = true
    let daemon: String

    func start(in directory: String) throws -> RunningServer {
        let log = "\(directory)/log"
        unlink(log)
        let process = try ChildProcess(
            [daemon, "--data", "\(directory)/data", "--listen", "127.0.0.1:0"],
            log: log
        )
        for _ in 0..<60_000 {
            if let port = Files.read(log).flatMap(Self.port) {
                return RunningServer(process: process, port: port)
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

/// beanstalkd with a log that is synced for every command.
struct BeanstalkdPeer: Peer {
    static let program = "/usr/bin/beanstalkd"

    let name = "beanstalkd -f 0"
    let wire = Wire.beanstalk
    let startsFresh = true

    func start(in directory: String) throws -> RunningServer {
        let data = "\(directory)/data"
        try Files.makeDirectory(data)
        let port = try Ports.free(1)[0]
        let process = try ChildProcess(
            [
                Self.program, "-l", "127.0.0.1", "-p", "\(port)", "-b", data, "-f", "0",
                "-z", "1048576",
            ],
            log: "\(directory)/log"
        )
        try Ports.wait(for: port, of: process, seconds: 10)
        return RunningServer(process: process, port: port)
    }
}

/// RabbitMQ with its STOMP plugin; durable queues, persistent messages, receipts are confirms.
struct RabbitMQPeer: Peer {
    static let program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    let name = "rabbitmq"
    let wire = Wire.stomp
    // Its start takes seconds of CPU.
    let startsFresh = false

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
        let process = try ChildProcess(
            [Self.program],
            environment: environment,
            log: "\(directory)/log"
        )
        try Ports.wait(for: ports[0], of: process, seconds: 120)
        return RunningServer(process: process, port: ports[0], helpers: [nameServer])
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

    /// Waits until something accepts connections there.
    static func wait(for port: Int, of process: ChildProcess, seconds: Int) throws {
        for _ in 0..<seconds * 50 {
            let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(probe) }
            var address = loopback(port: port)
            let status = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { return }
            guard process.isAlive else { break }
            usleep(20_000)
        }
        throw LoadError(description: "nothing listens on port \(port)")
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return address
    }
}
