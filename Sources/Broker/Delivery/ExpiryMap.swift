import Base

/// When entries of one queue expire, by runs of entries: each has a bound before which none of it does.
///
/// Bounded however long the queue is: runs that follow each other become one when there are too many.
/// A run whose bound has passed is swept, run by run of what a fetch brings, and gets a better bound.
struct ExpiryMap {
    private struct Run {
        /// The run ends where the next one begins; the last one has no end.
        let first: EntrySequence
        /// In ms since 1970; `.max` = nothing in it expires.
        var due: UInt64
    }

    private var runs: [Run] = []

    private static let runsMax = 256
    /// Entries that are noted in one run.
    private static let runLengthMax: UInt64 = 1024

    /// When the first run is due, in ms since 1970; `.max` if none ever is.
    ///
    /// Kept, for it is asked for with every message.
    private(set) var nextDue = UInt64.max

    /// Takes over bounds that were found elsewhere, in rising order.
    mutating func restore(_ bounds: [(first: EntrySequence, due: UInt64)]) {
        runs = bounds.map { Run(first: $0.first, due: $0.due) }
        tidy()
    }

    /// Notes an entry that is higher than all before; `due` is when it expires, `.max` = never.
    @inline(__always)
    mutating func note(_ sequence: EntrySequence, due: UInt64) {
        if due == .max && runs.isEmpty { return }
        noteDue(sequence, due: due)
    }

    private mutating func noteDue(_ sequence: EntrySequence, due: UInt64) {
        if let last = runs.indices.last,
            sequence.value - runs[last].first.value < Self.runLengthMax
        {
            if due < runs[last].due { runs[last].due = due }
        } else {
            runs.append(Run(first: sequence, due: due))
            if runs.count > Self.runsMax { tidy() }
        }
        nextDue = min(nextDue, due)
    }

    /// The first run that is due: where it begins, and where it ends if another one follows.
    func firstDue(at now: UInt64) -> (first: EntrySequence, end: EntrySequence?)? {
        guard nextDue <= now, let index = runs.firstIndex(where: { $0.due <= now }) else {
            return nil
        }
        return (runs[index].first, index + 1 < runs.count ? runs[index + 1].first : nil)
    }

    /// Notes what is left of a run after its entries from `first` up to `next` were looked at.
    ///
    /// `isWhole`: that was all of it.
    mutating func swept(
        from first: EntrySequence,
        to next: EntrySequence,
        isWhole: Bool,
        due: UInt64
    ) {
        guard let index = runs.firstIndex(where: { $0.first == first }) else { return }
        let old = runs[index].due
        runs[index].due = due
        if !isWhole { runs.insert(Run(first: next, due: old), at: index + 1) }
        tidy()
    }

    mutating func removeAll() {
        runs = []
        nextDue = .max
    }

    /// Joins runs that say the same, and neighbours while there are too many.
    private mutating func tidy() {
        var kept: [Run] = []
        for run in runs {
            if let last = kept.last, last.due == .max, run.due == .max { continue }
            if kept.isEmpty, run.due == .max { continue }
            kept.append(run)
        }
        if kept.count > Self.runsMax {
            kept = stride(from: 0, to: kept.count, by: 2).map { index in
                let second = index + 1 < kept.count ? kept[index + 1].due : .max
                return Run(first: kept[index].first, due: min(kept[index].due, second))
            }
        }
        runs = kept
        nextDue = runs.map(\.due).min() ?? .max
    }
}
