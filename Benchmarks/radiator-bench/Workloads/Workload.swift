/// One named piece of work, the same for every peer.
///
/// All messages are persistent and every one is receipted, so what counts as sent is durable by the
/// rule of the server.
struct Workload: Sendable {
    let name: String
    let summary: String
    /// Who takes part beside radiator, as far as they are in the run.
    var peers: [PeerName] = []
    /// True for minutes of work or gigabytes: it runs only when asked for by its whole name.
    var isLong = false
    /// False for work that is as long as it is, whatever the options say: it has one turn.
    var isRepeated = true
    /// Does the work once.
    let measure: @Sendable (Stage) throws -> Figures

    /// A load that runs for some seconds against one server.
    static func timed(
        _ name: String,
        _ summary: String,
        peers: [PeerName] = [],
        configuration: String = "",
        load: Load
    ) -> Workload {
        Workload(name: name, summary: summary, peers: peers) { stage in
            try stage.withServer(configuration: configuration) { server in
                try stage.run(load, on: server).figures
            }
        }
    }
}

/// Workloads that are shown in one table and judged together.
struct Family: Sendable {
    /// The key of most families in the JSON: rates, latencies and CPU.
    static let rates = "results"

    let name: String
    var jsonKey = rates
    var columns = Figure.rates
    let workloads: [Workload]
    var targets: [Target] = []
}

/// Where a workload is measured: one peer, in one turn.
struct Stage {
    /// The daemon prepares files in its first second.
    static let restSeconds = 1.0

    let peer: any Peer
    /// Empty, and for this turn alone.
    let directory: String
    let driver: LoadDriver
    /// Of measured work.
    let seconds: Double
    /// The first part of names that no other turn uses.
    let queue: String
    /// A server that goes on from turn to turn, for its start is too dear.
    let keptServer: RunningServer?

    /// Calls `body` with a server that had time to settle, and ends that.
    func withServer<Value>(
        configuration: String = "",
        _ body: (RunningServer) throws -> Value
    ) throws -> Value {
        if let keptServer { return try body(keptServer) }
        let server = try start(configuration: configuration)
        defer { server.end() }
        pause(seconds: Self.restSeconds)
        return try body(server)
    }

    /// The same for a part of the turn, with files of its own.
    func inside(_ name: String) throws -> Stage {
        let directory = "\(directory)/\(name)"
        try Files.makeDirectory(directory)
        return Stage(
            peer: peer,
            directory: directory,
            driver: driver,
            seconds: seconds,
            queue: "\(queue)-\(name)",
            keptServer: keptServer
        )
    }

    /// Puts a load on a server for the time that there is.
    func run(_ load: Load, on server: RunningServer) throws -> Measurement {
        try driver.run(load, on: server, queue: queue, seconds: seconds)
    }

    /// Starts the peer on the directory as it is.
    func start(configuration: String = "") throws -> RunningServer {
        try peer.start(in: directory, configuration: configuration)
    }
}
