import Base

// What may be left of a history after a crash.
//
// The log is a list of atomic units. Every call is one, but for settles: they are collected and come
// into the log at the latest at the end of their turn, or of a later one (`settleDelay`), or before an
// atomic batch begins. So after a crash the state must be: all calls up to some point; all settles issued before the last end of a
// turn (or batch) before that point; and any of the settles issued between that and the first lost
// call. The point lies no earlier than what was reported durable.

/// The calls since the last state that is certain to survive, in the order they were made.
struct ModelHistory {
    /// One atomic unit of the log.
    enum Unit {
        case change(Change)
        case batch([Change])
        /// Everything before it is in the log before everything after it: no settle waits.
        case turnEnd
    }

    /// What is durable for certain.
    private(set) var base = ModelState()
    private(set) var units: [Unit] = []
    /// Everything applied.
    private(set) var current = ModelState()
    /// Units that were dropped from the front of `units`.
    private var droppedCount = 0

    /// Units that the last crash took.
    private(set) var lostCount = 0

    /// The number of units so far; names a place in the history.
    var place: Int { droppedCount + units.count }

    mutating func append(_ unit: Unit) {
        units.append(unit)
        switch unit {
        case .change(let change): current.apply(change)
        case .batch(let changes): for change in changes { current.apply(change) }
        case .turnEnd: break
        }
    }

    /// Everything before `place` is durable; a turn ended there.
    mutating func markDurable(upTo place: Int) {
        let count = place - droppedCount
        guard count > 0 else { return }
        for unit in units[..<count] { Self.apply(unit, to: &base) }
        units.removeFirst(count)
        droppedCount = place
    }

    private static func apply(_ unit: Unit, to state: inout ModelState) {
        switch unit {
        case .change(let change): state.apply(change)
        case .batch(let changes): for change in changes { state.apply(change) }
        case .turnEnd: break
        }
    }

    /// The content of an entry that the store may still hold.
    func content(_ queue: UInt32, _ sequence: UInt64) -> Content? {
        for state in [current, base] {
            if let known = state.queues[queue], let index = known.index(of: sequence) {
                return known.entries[index].content
            }
        }
        for unit in units {
            let changes: [Change] =
                switch unit {
                case .change(let change): [change]
                case .batch(let changes): changes
                case .turnEnd: []
                }
            for case .enqueue(let entries, let content) in changes
            where entries.contains(where: { $0 == (queue, sequence) }) {
                return content
            }
        }
        return nil
    }

    /// Takes over the state that was found after a crash if the history allows it and nothing before
    /// `kept` is lost.
    ///
    /// Returns what is wrong with it, or nil.
    mutating func recover(_ found: ModelState, atLeast kept: Int) -> String? {
        var state = base
        var pending: [SettleKey] = []
        var closest: String?
        for index in 0...units.count {
            let isSettle: Bool
            if index < units.count, case .change(.settle(let queue, let sequence)) = units[index] {
                isSettle = true
                pending.append(SettleKey(queue: queue, sequence: sequence))
            } else {
                isSettle = false
            }
            // Here ends what survived: the next unit is the first lost one.
            if !isSettle, droppedCount + index >= kept, state.hasSameQueues(as: found) {
                let difference = state.difference(to: found, optional: Set(pending))
                guard let difference else {
                    lostCount = units.count - index
                    restart(at: found)
                    return nil
                }
                closest = "with the first \(index) of \(units.count) units: \(difference)"
            }
            guard index < units.count, !isSettle else { continue }
            switch units[index] {
            case .change: break
            case .batch, .turnEnd:
                for key in pending { state.apply(.settle(key.queue, key.sequence)) }
                pending.removeAll()
            }
            Self.apply(units[index], to: &state)
        }
        return closest
            ?? "no prefix of \(units.count) units with the first \(kept - droppedCount) has these queues: "
            + "found \(found.summary), durable \(base.summary), at the end \(current.summary)"
    }

    /// Begins again with a state that is durable.
    mutating func restart(at state: ModelState) {
        base = state
        current = state
        droppedCount = place
        units.removeAll()
    }
}

extension ModelState {
    /// Queues with their next sequences and depths, for messages.
    var summary: String {
        orderedIDs
            .map { "\($0): next \(queues[$0]?.next ?? 0), depth \(queues[$0]?.entries.count ?? 0)" }
            .joined(separator: "; ")
    }
}
