/// Something that radiator has to reach in one workload.
struct Target: Sendable {
    enum Bound: Sendable { case atLeast, atMost }

    /// What the figure is divided by before it is judged.
    enum Basis: Sendable {
        case one
        /// The same figure of a peer in the same workload.
        case peer(PeerName)
        /// The best of these peers, those that took part: the highest rate, the lowest of all else.
        case best([PeerName])
        /// The same figure of radiator in another workload.
        case workload(String)
        /// Another figure of the same result.
        case figure(Figure)
    }

    let workload: String
    let figure: Figure
    let bound: Bound
    let limit: Double
    let basis: Basis
    /// Why a result that misses the target says nothing about radiator; nil when it does.
    let excuse: @Sendable (Figures) -> String?

    static func atLeast(
        _ limit: Double,
        _ figure: Figure,
        in workload: String,
        per basis: Basis = .one,
        unless excuse: @escaping @Sendable (Figures) -> String? = { _ in nil }
    ) -> Target {
        Target(
            workload: workload,
            figure: figure,
            bound: .atLeast,
            limit: limit,
            basis: basis,
            excuse: excuse
        )
    }

    static func atMost(
        _ limit: Double,
        _ figure: Figure,
        in workload: String,
        per basis: Basis = .one,
        unless excuse: @escaping @Sendable (Figures) -> String? = { _ in nil }
    ) -> Target {
        Target(
            workload: workload,
            figure: figure,
            bound: .atMost,
            limit: limit,
            basis: basis,
            excuse: excuse
        )
    }

    /// Nil when something that it needs was not measured.
    func verdict(in report: Report) -> Verdict? {
        guard let outcome = report.outcome(of: workload, .radiator),
            let value = outcome.figures[figure], let divisor = divisor(in: report, outcome),
            divisor > 0
        else { return nil }
        let amount = value / divisor
        let isMet = bound == .atLeast ? amount >= limit : amount <= limit
        let missed = excuse(outcome.figures).map(Verdict.State.notJudged) ?? .missed
        return Verdict(
            workload: workload,
            target: "\(figure.title) \(boundText) \(text(of: limit))\(basisText)",
            amount: text(of: amount),
            state: isMet ? .met : missed
        )
    }

    private func divisor(in report: Report, _ outcome: Outcome) -> Double? {
        switch basis {
        case .one: return 1
        case .peer(let peer): return report.outcome(of: workload, peer)?.figures[figure]
        case .best(let peers):
            let values = peers.compactMap { report.outcome(of: workload, $0)?.figures[figure] }
            return bound == .atLeast ? values.max() : values.min()
        case .workload(let other): return report.outcome(of: other, .radiator)?.figures[figure]
        case .figure(let other): return outcome.figures[other]
        }
    }

    private func text(of amount: Double) -> String {
        if case .one = basis { figure.text(of: amount) } else { Figure.fixed(amount) }
    }

    private var boundText: String {
        switch bound {
        case .atLeast: "at least"
        case .atMost: "at most"
        }
    }

    private var basisText: String {
        switch basis {
        case .one: ""
        case .peer(let peer): " x that of \(peer)"
        case .best(let peers): " x the best of \(peers.map(\.rawValue).joined(separator: ", "))"
        case .workload(let other): " x that of \(other)"
        case .figure(let other): " x \(other.title)"
        }
    }
}

/// What a report says about a target.
struct Verdict {
    enum State: Equatable {
        case met, missed
        case notJudged(String)
    }

    let workload: String
    let target: String
    let amount: String
    let state: State

    var line: String {
        let result =
            switch state {
            case .met: "met"
            case .missed: "MISSED"
            case .notJudged(let reason): "not judged, \(reason)"
            }
        return "\(workload): \(target): \(amount), \(result)"
    }
}
