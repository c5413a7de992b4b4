/// One thing that is wrong with the configuration, and where.
package struct ConfigurationProblem: Equatable, Sendable, CustomStringConvertible {
    /// `FILE:LINE`, the environment variable, or the command-line option.
    package let place: String
    /// What is wrong and what would be right.
    package let text: String

    package var description: String { "\(place): \(text)" }
}

/// Everything that is wrong with the configuration, in the order of the file.
package struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    package let problems: [ConfigurationProblem]

    /// One line for each problem.
    package var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

/// Guesses what a mistyped word was meant to be.
enum Suggestion {
    /// The candidate nearest to `word`, or nil when none is near enough to be meant.
    ///
    /// Near: at most two slips in a word, one in a short one. Of equally near ones the first counts.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let slipsMax = word.count <= 4 ? 1 : max(2, word.count / 4)
        let distances = candidates.map { (candidate: $0, slips: slips(from: word, to: $0)) }
        let best = distances.min { $0.slips < $1.slips }
        guard let best, best.slips <= slipsMax else { return nil }
        return best.candidate
    }

    /// Ready to be put behind a message: `; did you mean "x"?`, or nothing.
    static func hint(for word: String, among candidates: [String]) -> String {
        nearest(to: word, among: candidates).map { "; did you mean \"\($0)\"?" } ?? ""
    }

    /// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
    private static func slips(from first: String, to second: String) -> Int {
        let (first, second) = (Array(first), Array(second))
        var beforeLast: [Int] = []
        var last = Array(0...second.count)
        for row in 0..<first.count {
            var current = [row + 1]
            for column in 0..<second.count {
                let replaced = last[column] + (first[row] == second[column] ? 0 : 1)
                var best = min(replaced, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, first[row] == second[column - 1],
                    first[row - 1] == second[column]
                {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            (beforeLast, last) = (last, current)
        }
        return last[second.count]
    }
}
