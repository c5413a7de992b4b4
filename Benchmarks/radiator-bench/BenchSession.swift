import Glibc
import NIOCore

/// One call of the benchmark: every workload on every peer, printed as it comes.
final class BenchSession {
    private let peers: [any Peer]
    private let root: String
    private let driver: LoadDriver
    private let seconds: Double
    private let rounds: Int
    /// Peers whose start is too dear to repeat.
    private var keptServers: [String: RunningServer] = [:]
    private var directoryCount = 0

    init(peers: [any Peer], root: String, driver: LoadDriver, seconds: Double, rounds: Int) {
        self.peers = peers
        self.root = root
        self.driver = driver
        self.seconds = seconds
        self.rounds = rounds
    }

    func run(_ workloads: [Workload]) throws -> Report {
        defer { for server in keptServers.values { server.end() } }
        var report = Report()
        show(Report.header)
        for workload in workloads {
            if case .backlog = workload.kind { continue }
            for (peer, measurement) in zip(peers, try measure(workload)) {
                show(
                    report.add(
                        Report.Row(
                            workload: workload,
                            peer: peer.name,
                            measurement: measurement
                        )
                    )
                )
            }
        }
        show("")
        for workload in workloads {
            guard case .backlog = workload.kind, let radiator = peers.first else { continue }
            let measurement = try measureBacklog(workload, of: radiator)
            show(report.add(Report.BacklogRow(workload: workload, measurement: measurement)))
        }
        report.comparison.forEach(show)
        show(report.verdict)
        return report
    }

    /// The peers take turns, round by round, so that a disturbance hits all of them.
    private func measure(_ workload: Workload) throws -> [Measurement] {
        var results = peers.map { _ in Measurement() }
        for round in 0..<rounds {
            for (index, peer) in peers.enumerated() {
                let syncs = try DeviceProbe.syncsPerSecond(in: root)
                let queue = "\(workload.name)-\(round)"
                var result = try withServer(of: peer) { server in
                    try driver.run(
                        workload,
                        wire: peer.wire,
                        port: server.port,
                        pid: server.process.pid,
                        queue: queue,
                        seconds: seconds / Double(rounds)
                    )
                }
                result.syncsPerSecond = [syncs]
                results[index].add(result)
            }
        }
        return results
    }

    private func withServer(
        of peer: any Peer,
        _ body: (RunningServer) throws -> Measurement
    ) throws -> Measurement {
        if !peer.startsFresh {
            let server = try keptServers[peer.name] ?? peer.start(in: newDirectory())
            keptServers[peer.name] = server
            return try body(server)
        }
        let directory = try newDirectory()
        defer { Files.removeTree(directory) }
        let server = try peer.start(in: directory)
        defer { server.end() }
        return try body(server)
    }

    private func measureBacklog(_ workload: Workload, of peer: any Peer) throws
        -> BacklogMeasurement
    {
        let directory = try newDirectory()
        defer { Files.removeTree(directory) }
        var result = BacklogMeasurement()
        var server = try peer.start(in: directory)
        defer { server.end() }
        result.emptyMemoryBytes = memory(of: server)
        let load = try driver.run(
            workload,
            wire: peer.wire,
            port: server.port,
            pid: server.process.pid,
            queue: workload.name,
            seconds: seconds
        )
        result.messages = load.messages
        result.fullMemoryBytes = memory(of: server)
        server.process.end(SIGKILL)
        let watch = Stopwatch()
        server = try peer.start(in: directory)
        result.restartSeconds = watch.seconds
        result.restartedMemoryBytes = memory(of: server)
        return result
    }

    private func memory(of server: RunningServer) -> Int {
        ProcessUsage.memoryBytes(of: server.process.pid, field: "VmRSS")
    }

    private func newDirectory() throws -> String {
        directoryCount += 1
        let path = "\(root)/\(directoryCount)"
        try Files.makeDirectory(path)
        return path
    }

    /// Prints a line at once, also into a pipe.
    private func show(_ line: String) {
        print(line)
        fflush(nil)
    }
}
