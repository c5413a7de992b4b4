/// The daemon that all this is about.
struct RadiatorPeer: Peer {
    let name = PeerName.radiator
    let startsFresh = true
    let program: (path: String, source: String)

    func start(in directory: String, configuration: String) throws -> RunningServer {
        let log = "\(directory)/log"
        let file = "\(directory)/radiator.toml"
        // The port of an earlier start must not be taken for the new one.
        try Files.write("", to: log)
        try Files.write(configuration, to: file)
        let watch = Stopwatch()
        let process = try ChildProcess(
            [
                program.path, "--config", file, "--data", "\(directory)/data", "--listen",
                "127.0.0.1:0",
            ],
            log: log
        )
        return try RunningServer.wait(for: process, log: log, since: watch)
    }
}

/// The least that a durable server can do for a sender; see `Benchmarks/sink`.
struct SinkPeer: Peer {
    let name = PeerName.sink
    // It writes its whole file at the start, and keeps nothing that later turns could notice.
    let startsFresh = false
    let program: (path: String, source: String)

    func start(in directory: String, configuration: String) throws -> RunningServer {
        let log = "\(directory)/log"
        let watch = Stopwatch()
        let process = try ChildProcess([program.path, "\(directory)/data"], log: log)
        return try RunningServer.wait(for: process, log: log, since: watch)
    }
}
