import Base

/// Bounds how many log lines of one kind a flood of clients can cause.
///
/// So many lines each second are written as they come; the others are counted, and their number is
/// told once the second is over.
struct LineBudget {
    private let linesPerSecond: Int
    private var left: Int
    private var begin: MonotonicTime
    private var omitted = 0

    init(linesPerSecond: Int, now: MonotonicTime) {
        self.linesPerSecond = linesPerSecond
        left = linesPerSecond
        begin = now
    }

    /// Whether one more line may be written; if not, it is counted.
    mutating func take(_ now: MonotonicTime) -> Bool {
        if now.since(begin) >= .seconds(1), omitted == 0 {
            begin = now
            left = linesPerSecond
        }
        guard left > 0 else {
            omitted += 1
            return false
        }
        left -= 1
        return true
    }

    /// How many lines were left out, once that can be told; nil if it cannot yet, or if there are none.
    mutating func takeOmitted(_ now: MonotonicTime) -> Int? {
        guard omitted > 0, now.since(begin) >= .seconds(1) else { return nil }
        defer {
            omitted = 0
            begin = now
            left = linesPerSecond
        }
        return omitted
    }
}
