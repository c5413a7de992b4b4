/// The servers that can be measured, as the command line and the results name them.
enum PeerName: String, CaseIterable, CustomStringConvertible, Sendable {
    case radiator
    /// Its log is synced for every command.
    case beanstalkdF0 = "beanstalkd-f0"
    /// Its log is synced every 50 ms.
    case beanstalkdF50 = "beanstalkd-f50"
    /// Its log is never synced.
    case beanstalkdF = "beanstalkd-F"
    case rabbitmq, activemq
    /// Only receives, writes, syncs and gives receipts.
    case sink

    var description: String { rawValue }
}

/// A kind of server that the benchmark can start.
protocol Peer {
    var name: PeerName { get }
    /// What must be installed for it, and how to come by that.
    var program: (path: String, source: String) { get }
    /// True when every turn gets a new process on a new directory.
    var startsFresh: Bool { get }

    /// Seconds of work ahead of its first turn, until it is as fast as it gets.
    var warmUpSeconds: Double { get }

    /// Starts it on `directory`, which may hold the data of an earlier run, and waits until it
    /// answers.
    ///
    /// `configuration` is for the daemon alone, in the words of its configuration file.
    func start(in directory: String, configuration: String) throws -> RunningServer
}

extension Peer {
    var warmUpSeconds: Double { 0 }
}

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

    /// Waits for a port in the program's output, then for its first answer there.
    static func wait(
        for process: ChildProcess,
        log: String,
        since watch: Stopwatch
    ) throws -> RunningServer {
        while process.isAlive, watch.seconds < Ports.startSecondsMax {
            if let port = Files.read(log).flatMap(Ports.announced) {
                try Ports.wait(for: port, .stomp, of: process)
                return RunningServer(
                    process: process,
                    port: port,
                    wire: .stomp,
                    startSeconds: watch.seconds
                )
            }
            pauseBriefly()
        }
        throw LoadError(description: "a server did not start: \(Files.read(log) ?? "")")
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

/// The peers of one call: those that were asked for and are there.
struct Roster {
    let peers: [any Peer]

    /// `daemon` and `sink` are paths; says in a line for each what is left out.
    init(daemon: String, sink: String, wanted: [PeerName]) {
        let radiator = RadiatorPeer(program: (daemon, "make build"))
        let others: [any Peer] = [
            BeanstalkdPeer(name: .beanstalkdF0, syncOptions: ["-f", "0"]),
            BeanstalkdPeer(name: .beanstalkdF50, syncOptions: ["-f", "50"]),
            BeanstalkdPeer(name: .beanstalkdF, syncOptions: ["-F"]),
            RabbitMQPeer(), ActiveMQPeer(), SinkPeer(program: (sink, "make build")),
        ]
        peers =
            [radiator]
            + others.filter { peer in
                guard wanted.contains(peer.name) else { return false }
                guard !Files.exists(peer.program.path) else { return true }
                print("\(peer.name): left out, there is no \(peer.program.path)", terminator: "; ")
                print("to have it: \(peer.program.source)")
                return false
            }
    }
}
