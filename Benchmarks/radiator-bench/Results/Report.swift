/// All results of one call.
struct Report {
    private(set) var families: [(family: Family, outcomes: [Outcome])] = []

    /// What follows belongs to this family.
    mutating func begin(_ family: Family) { families.append((family, [])) }

    mutating func add(_ outcome: Outcome) { families[families.count - 1].outcomes.append(outcome) }

    func outcome(of workload: String, _ peer: PeerName) -> Outcome? {
        families.lazy.flatMap(\.outcomes).first { $0.workload == workload && $0.peer == peer }
    }

    /// Of all targets for which everything was measured.
    var verdicts: [Verdict] {
        families.flatMap(\.family.targets).compactMap { $0.verdict(in: self) }
    }

    /// True when nothing that could be judged fell short.
    var isTargetMet: Bool { !verdicts.contains { $0.state == .missed } }

    /// How radiator compares with each peer, workload by workload.
    var comparison: [String] {
        let outcomes = families.flatMap(\.outcomes)
        return outcomes.filter { $0.peer == .radiator }.flatMap { ours in
            outcomes.filter { $0.workload == ours.workload && $0.peer != .radiator }.compactMap {
                theirs in
                guard let rate = ratio(.messagesPerSecond, ours, theirs),
                    let cpu = ratio(.cpuMicroseconds, theirs, ours)
                else { return nil }
                return "\(ours.workload): \(Figure.fixed(rate)) times the rate of "
                    + "\(theirs.peer), \(Figure.fixed(cpu)) times less CPU per message"
            }
        }
    }

    private func ratio(_ figure: Figure, _ first: Outcome, _ second: Outcome) -> Double? {
        guard let one = first.figures[figure], let other = second.figures[figure] else {
            return nil
        }
        return one / other
    }
}
