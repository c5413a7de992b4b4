/// beanstalkd with its log on.
struct BeanstalkdPeer: Peer {
    /// Its own default of 64 KiB has no room for the largest bodies.
    private static let jobBytesMax = 1 << 20

    let name: PeerName
    let syncOptions: [String]
    let program = (path: "/usr/bin/beanstalkd", source: "apt-get install beanstalkd")
    let startsFresh = true

    func start(in directory: String, configuration: String) throws -> RunningServer {
        let data = "\(directory)/data"
        try Files.makeDirectory(data)
        let port = try Ports.free(1)[0]
        let watch = Stopwatch()
        let process = try ChildProcess(
            [
                program.path, "-l", "127.0.0.1", "-p", "\(port)", "-b", data, "-z",
                "\(Self.jobBytesMax)",
            ] + syncOptions,
            log: "\(directory)/log"
        )
        try Ports.wait(for: port, .beanstalk, of: process)
        return RunningServer(
            process: process,
            port: port,
            wire: .beanstalk,
            startSeconds: watch.seconds
        )
    }
}
