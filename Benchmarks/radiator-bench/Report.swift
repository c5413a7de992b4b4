/// All results of one call.
struct Report {
    struct Row<Result> {
        let workload: Workload
        let peer: String
        let result: Result

        init(_ workload: Workload, _ peer: any Peer, _ result: Result) {
            self.workload = workload
            self.peer = peer.name
            self.result = result
        }

        var isRadiator: Bool { peer == RadiatorPeer.radiatorName }
    }

    private(set) var rows: [Row<Measurement>] = []
    private(set) var backlogs: [Row<BacklogMeasurement>] = []
    private(set) var disks: [Row<DiskMeasurement>] = []
    private(set) var packed: [Row<PackedMeasurement>] = []
    private(set) var neighbours: [Row<NeighboursMeasurement>] = []

    /// Adds a result and gives its line of the table.
    mutating func add(_ row: Row<Measurement>) -> String {
        rows.append(row)
        return Self.line(of: row)
    }

    mutating func add(_ row: Row<BacklogMeasurement>) -> String {
        backlogs.append(row)
        return Self.line(of: row)
    }

    mutating func add(_ row: Row<DiskMeasurement>) -> String {
        disks.append(row)
        return Self.line(of: row)
    }

    mutating func add(_ row: Row<PackedMeasurement>) -> String {
        packed.append(row)
        return Self.line(of: row)
    }

    mutating func add(_ row: Row<NeighboursMeasurement>) -> String {
        neighbours.append(row)
        return Self.line(of: row)
    }

    /// How radiator compares with each peer, workload by workload.
    var comparison: [String] {
        rows.filter(\.isRadiator).flatMap { ours in
            rows.filter { $0.workload.name == ours.workload.name && !$0.isRadiator }.map { theirs in
                let rate = ours.result.messagesPerSecond / theirs.result.messagesPerSecond
                let cpu = theirs.result.serverCPUMicroseconds / ours.result.serverCPUMicroseconds
                return "\(ours.workload.name): \(Self.fixed(rate)) times the rate of "
                    + "\(theirs.peer), \(Self.fixed(cpu)) times less CPU per message"
            }
        }
    }
}
