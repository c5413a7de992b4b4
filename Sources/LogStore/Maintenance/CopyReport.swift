import Base

/// What copying a store brought over, and what it could not.
package struct CopyReport: Sendable, Equatable {
    package var queues = 0
    /// Message records and entries in the new store.
    package var messages = 0
    package var entries = 0
    /// Header blocks and bodies of the messages.
    package var bytes = 0
    /// Where the log was cut; nil if it was taken to its end.
    package var cut: LogPosition?
    /// Unsettled entries that are not in the new store, one item for each queue and place.
    package var lost: [Damage] = []
    /// Everything that could not be read, also where it took nothing that is missed.
    package var damage: [Damage] = []
    package var notes: [String] = []

    package init() {}

    /// Entries that are not in the new store.
    package var lostEntries: Int {
        lost.reduce(0) { $0 + $1.entries.reduce(0) { $0 + Int($1.count) } }
    }
}

/// Names the entries that a copy could not find.
enum LostReport {
    /// The entries that damage took before the state heard of them.
    ///
    /// Linear in the lost entries.
    static func neverKnown(_ state: StoreState, _ damage: [Damage]) -> [Damage] {
        damage.compactMap { item in
            guard !item.reason.hasSuffix(LostEntries.forgottenSettles), let name = item.queue,
                let queue = state.queues.values.first(where: { $0.name == name })
            else { return nil }
            let missing = item.entries.flatMap { $0.first..<$0.end }.filter { sequence in
                queue.extentIndex(of: sequence).map { queue.extents[$0].isSettled(sequence) }
                    ?? true
            }
            var item = item
            item.entries = ranges(missing)
            return missing.isEmpty ? nil : item
        }
    }

    /// What is left unsettled in `state`, by the damage that took it, else by its segment.
    ///
    /// Linear in the lost entries.
    static func lost(_ state: StoreState, _ damage: [Damage]) -> [Damage] {
        var lost: [Damage] = []
        for queue in state.queues.values where queue.liveCount > 0 {
            for item in damage where item.queue == queue.name { lost += take(queue, item, state) }
            lost += rest(of: queue)
        }
        return lost
    }

    /// The entries of one item of damage that are missed; they are settled in the state.
    private static func take(
        _ queue: QueueState,
        _ item: Damage,
        _ state: StoreState
    ) -> [Damage] {
        var taken: [UInt64] = []
        for range in item.entries {
            var next = range.first
            while let sequence = queue.unsettled(from: next), sequence < range.end {
                taken.append(sequence)
                _ = state.settle(queue, sequence, bytes: nil)
                next = sequence + 1
            }
        }
        guard !taken.isEmpty else { return [] }
        return [
            Damage(
                file: item.file,
                offset: item.offset,
                length: item.length,
                queue: queue.name,
                entries: ranges(taken),
                reason: item.reason
            )
        ]
    }

    private static func rest(of queue: QueueState) -> [Damage] {
        queue.extents.map { extent in
            var sequences: [UInt64] = []
            var next = extent.firstUnsettled(from: 0)
            while let sequence = next {
                sequences.append(sequence)
                next = extent.firstUnsettled(from: sequence + 1)
            }
            return Damage(
                file: FileNames.segment(extent.segment),
                offset: 0,
                length: 0,
                queue: queue.name,
                entries: ranges(sequences),
                reason: "no sound record of them is left in the segment"
            )
        }
    }

    /// Rising sequences as runs.
    static func ranges(_ sequences: [UInt64]) -> [SequenceRange] {
        var ranges: [SequenceRange] = []
        for sequence in sequences {
            if let last = ranges.last, last.end == sequence {
                ranges[ranges.count - 1].count += 1
            } else {
                ranges.append(SequenceRange(first: sequence, count: 1))
            }
        }
        return ranges
    }
}

extension QueueState {
    /// The first unsettled entry from `sequence` on.
    fileprivate func unsettled(from sequence: UInt64) -> UInt64? {
        var index = extentIndex(from: sequence)
        while index < extents.count {
            if let found = extents[index].firstUnsettled(from: sequence) { return found }
            index += 1
        }
        return nil
    }
}
