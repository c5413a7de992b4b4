/// The table for people: two columns of names, then one for each figure of the family.
struct Table {
    private static let columnWidthMin = 9

    let columns: [Figure]
    private let nameWidth: Int
    private let peerWidth: Int

    init(family: Family, workloads: [Workload]) {
        columns = family.columns
        nameWidth = workloads.map(\.name.count).max() ?? 0
        peerWidth = PeerName.allCases.map(\.rawValue.count).max() ?? 0
    }

    var header: String { line("workload", "peer", columns.map(\.title)) }

    func line(of outcome: Outcome) -> String {
        line(
            outcome.workload,
            outcome.peer.rawValue,
            columns.map { figure in outcome.figures[figure].map(figure.text) ?? "-" }
        )
    }

    /// Names to the left, numbers to the right.
    private func line(_ workload: String, _ peer: String, _ cells: [String]) -> String {
        let names = workload + padding(nameWidth, workload) + " " + peer + padding(peerWidth, peer)
        return zip(columns, cells).reduce(names) { line, cell in
            let width = max(Self.columnWidthMin, cell.0.title.count)
            return line + "  " + padding(width, cell.1) + cell.1
        }
    }

    private func padding(_ width: Int, _ text: String) -> String {
        String(repeating: " ", count: max(0, width - text.count))
    }
}
