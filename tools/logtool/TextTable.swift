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

/// Calendar time in UTC.
enum CivilTime {
    /// `2026-07-09 15:04:05Z` for milliseconds since 1970 (Howard Hinnant, "days to civil").
    static func text(_ milliseconds: UInt64) -> String {
        let seconds = Int(clamping: milliseconds / 1000)
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
        return "\(padded(year, 4))-\(padded(civilMonth, 2))-\(padded(day, 2)) "
            + "\(padded(rest / 3600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))Z"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
