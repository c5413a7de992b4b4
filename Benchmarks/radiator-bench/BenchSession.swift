import Glibc
import NIOCore
import NIOPosix

/// One call of the benchmark: every workload on every peer, printed as it comes.
final class BenchSession {
    private let peers: [any Peer]
    private let root: String
    private let driver: LoadDriver
    private let seconds: Double
    private let rounds: Int
    private let save: (Report) throws -> Void
    /// Peers whose start is too dear to repeat.
    private var keptServers: [String: RunningServer] = [:]
    private var directoryCount = 0

    init(
        peers: [any Peer],
        root: String,
        driver: LoadDriver,
        seconds: Double,
        rounds: Int,
        save: @escaping (Report) throws -> Void
    ) {
        self.peers = peers
        self.root = root
        self.driver = driver
        self.seconds = seconds
        self.rounds = rounds
        self.save = save
    }

    func run(_ workloads: [Workload]) throws -> Report {
        defer { for server in keptServers.values { server.end() } }
        var report = Report()
        for (kind, header) in Report.tables {
            let workloads = workloads.filter { $0.kind == kind }
            guard !workloads.isEmpty else { continue }
            show(header)
            for workload in workloads { try measure(workload, for: &report) }
            show("")
        }
        report.comparison.forEach(show)
        report.verdict.forEach(show)
        return report
    }

    /// Alone and beside, in turns.
    private func measureNeighbours(
        _ workload: Workload,
        _ peer: any Peer
    ) throws -> NeighboursMeasurement {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { group.shutdownGracefully { _ in } }
        var result = NeighboursMeasurement()
        for round in 0..<2 * rounds {
            let isAlone = round % 2 == 0
            let measurement = try withServer(of: peer) { server in
                let others =
                    isAlone ? nil : try BadNeighbours(port: server.port, loop: group.next())
                let measurement = try driver.run(
                    workload.load,
                    on: server,
                    queue: "\(workload.name)-\(round)",
                    seconds: seconds / Double(rounds)
                )
                result.badConnections += try others?.stop() ?? 0
                return measurement
            }
            if isAlone { result.alone.add(measurement) } else { result.beside.add(measurement) }
        }
        return result
    }

    private func measure(_ workload: Workload, for report: inout Report) throws {
        switch workload.kind {
        case .timed:
            for (peer, measurement) in zip(peers, try measureRates(workload)) {
                try publish(report.add(Report.Row(workload, peer, measurement)), report)
            }
        case .backlog:
            for peer in peers.compactMap(\.forBacklog) {
                let result = try withDirectory { directory in
                    try BacklogMeter(
                        workload: workload,
                        peer: peer,
                        driver: driver,
                        directory: directory
                    ).measure()
                }
                try publish(report.add(Report.Row(workload, peer, result)), report)
            }
        case .neighbours:
            guard let peer = peers.first else { return }
            let result = try measureNeighbours(workload, peer)
            try publish(report.add(Report.Row(workload, peer, result)), report)
        case .disk, .packed:
            // The peers sync for every message or pack nothing.
            guard let peer = peers.first else { return }
            try withDirectory { directory in
                let meter = DiskMeter(
                    workload: workload,
                    peer: peer,
                    driver: driver,
                    directory: directory
                )
                if workload.kind == .disk {
                    try publish(
                        report.add(Report.Row(workload, peer, try meter.measureTraffic())),
                        report
                    )
                } else {
                    try publish(
                        report.add(Report.Row(workload, peer, try meter.measurePacked())),
                        report
                    )
                }
            }
        }
    }

    /// The peers take turns, round by round, so that a disturbance hits all of them.
    private func measureRates(_ workload: Workload) throws -> [Measurement] {
        var results = peers.map { _ in Measurement() }
        for round in 0..<rounds {
            for (index, peer) in peers.enumerated() {
                let syncs = try DeviceProbe.syncsPerSecond(in: root)
                let queue = "\(workload.name)-\(round)"
                var result = try withServer(of: peer) { server in
                    try driver.run(
                        workload.load,
                        on: server,
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
        return try withDirectory { directory in
            let server = try peer.start(in: directory)
            defer { server.end() }
            return try body(server)
        }
    }

    /// Calls `body` with a new directory and removes that after it.
    private func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
        let directory = try newDirectory()
        defer { Files.removeTree(directory) }
        return try body(directory)
    }

    private func newDirectory() throws -> String {
        directoryCount += 1
        let path = "\(root)/\(directoryCount)"
        try Files.makeDirectory(path)
        return path
    }

    /// Prints a result and saves what is there so far: a long run may fail late.
    private func publish(_ line: String, _ report: Report) throws {
        show(line)
        try save(report)
    }

    /// Prints a line at once, also into a pipe.
    private func show(_ line: String) {
        print(line)
        fflush(nil)
    }
}
