import Glibc

/// One call of the benchmark: every workload on every peer, printed as it comes.
final class BenchSession {
    private let peers: [any Peer]
    private let root: String
    private let driver: LoadDriver
    private let seconds: Double
    private let rounds: Int
    private let save: (Report) throws -> Void
    /// Peers whose start is too dear to repeat.
    private var keptServers: [PeerName: RunningServer] = [:]
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

    /// Runs those workloads of the catalogue that are meant.
    func run(where isMeant: (Workload) -> Bool) throws -> Report {
        defer { for server in keptServers.values { server.end() } }
        var report = Report()
        for family in catalogue {
            let workloads = family.workloads.filter(isMeant)
            guard !workloads.isEmpty else { continue }
            let table = Table(family: family, workloads: workloads)
            report.begin(family)
            show(table.header)
            for workload in workloads {
                for outcome in try measure(workload) {
                    report.add(outcome)
                    show(table.line(of: outcome))
                }
                // A long run may fail late.
                try save(report)
            }
            show("")
        }
        report.comparison.forEach(show)
        report.verdicts.forEach { show($0.line) }
        return report
    }

    /// The peers take turns, round by round, so that a disturbance hits all of them; what the disk
    /// itself does at that time is measured before each turn.
    private func measure(_ workload: Workload) throws -> [Outcome] {
        let peers = peers.filter { $0.name == .radiator || workload.peers.contains($0.name) }
        let rounds = workload.isRepeated ? rounds : 1
        var turns: [PeerName: [Figures]] = [:]
        var failed: Set<PeerName> = []
        for round in 0..<rounds {
            for peer in peers where !failed.contains(peer.name) {
                let queue = "\(workload.name)-\(round)"
                do {
                    var figures = try DeviceProbe.measure(in: root)
                    figures.add(try withStage(of: peer, queue, rounds, workload.measure))
                    turns[peer.name, default: []].append(figures)
                } catch let error as LoadError where peer.name != .radiator {
                    // The others' results are worth having, in a run of an hour above all.
                    show("\(peer.name) left out of \(workload.name): \(error)")
                    failed.insert(peer.name)
                    keptServers.removeValue(forKey: peer.name)?.end()
                }
            }
        }
        return peers.filter { !failed.contains($0.name) }.map {
            Outcome(workload: workload.name, peer: $0.name, turns: turns[$0.name] ?? [])
        }
    }

    /// Calls `body` with a new directory, or a server that is kept, and cleans up after it.
    private func withStage(
        of peer: any Peer,
        _ queue: String,
        _ rounds: Int,
        _ body: (Stage) throws -> Figures
    ) throws -> Figures {
        let directory = try newDirectory()
        defer { Files.removeTree(directory) }
        return try body(
            Stage(
                peer: peer,
                directory: directory,
                driver: driver,
                seconds: seconds / Double(rounds),
                queue: queue,
                keptServer: peer.startsFresh ? nil : keptServer(of: peer)
            )
        )
    }

    private func keptServer(of peer: any Peer) throws -> RunningServer {
        if let server = keptServers[peer.name] { return server }
        let server = try peer.start(in: newDirectory(), configuration: "")
        keptServers[peer.name] = server
        if peer.warmUpSeconds > 0 {
            let load = Load.pipe(4, bodyBytes: 256)
            _ = try driver.run(load, on: server, queue: "first", seconds: peer.warmUpSeconds)
        }
        return server
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
