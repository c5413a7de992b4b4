/// Columns of text, each as wide as its widest cell; numbers stand to the right.
struct TextTable {
    private var rows: [[String]]

    init(_ titles: [String]) {
        rows = [titles]
    }

    mutating func add(_ row: [String]) {
        // Names come from clients; a table keeps one line for each.
        rows.append(
            row.map { cell in
                String(cell.map { $0.isNewline || $0 < " " ? "?" : $0 })
            }
        )
    }

    var text: String {
        let columns = rows[0].indices
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = columns.map { column in
                let cell = row[column]
                let space = String(repeating: " ", count: widths[column] - cell.count)
                let isNumber = rows.dropFirst().first?[column].first?.isNumber ?? false
                return isNumber ? space + cell : cell + space
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}
