/// The numbers of one turn, or the medians of several.
struct Figures {
    private(set) var values: [Figure: Double] = [:]

    init(_ values: [Figure: Double] = [:]) { self.values = values }

    subscript(figure: Figure) -> Double? {
        get { values[figure] }
        set { values[figure] = newValue }
    }

    mutating func add(_ other: Figures) { values.merge(other.values) { $1 } }

    /// The median of each figure that all turns have; the mean of the two in the middle when even.
    static func medians(of turns: [Figures]) -> Figures {
        guard let first = turns.first else { return Figures() }
        var result = Figures()
        for figure in first.values.keys {
            let sorted = turns.compactMap { $0[figure] }.sorted()
            guard sorted.count == turns.count else { continue }
            result[figure] = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        }
        return result
    }
}

/// What one peer did in one workload.
struct Outcome {
    let workload: String
    let peer: PeerName
    let turns: [Figures]
    /// The medians of the turns.
    let figures: Figures

    init(workload: String, peer: PeerName, turns: [Figures]) {
        self.workload = workload
        self.peer = peer
        self.turns = turns
        figures = Figures.medians(of: turns)
    }
}
