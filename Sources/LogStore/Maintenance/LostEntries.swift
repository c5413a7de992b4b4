import Base

// Which entries damage took. The damaged bytes cannot be asked, but three witnesses can:
// 1. Gaps: a queue's sequences rise by one, so its next sound record tells what is missing before it.
// 2. Footers: a segment's posting lists say which entry began at which offset.
// 3. The damaged bytes themselves: most damage leaves a record's head readable. They are believed
//    only where a gap agrees, or where they name what the queue's next entries would have been.

/// What a damaged range seems to have held.
struct DamagedRange {
    let damage: Damage
    /// Entries that a footer places in the range.
    var listed: [(queue: QueueID, sequence: UInt64)] = []
    /// Entries of message records whose heads are still readable.
    var hinted: [(queue: QueueID, sequence: UInt64)] = []
    /// Entries that a settle record with a readable head had settled.
    var unsettled: [(queue: QueueID, range: SequenceRange)] = []

    init(_ damage: Damage) {
        self.damage = damage
    }

    /// Takes from the damaged bytes what can still be read of them.
    ///
    /// Stops at the first head that does not fit into the range.
    mutating func readHints(_ bytes: RawSpan, isKnown: (QueueID) -> Bool) {
        var at = 0
        while let header = RecordHeader(bytes, at: at), at + header.length <= bytes.byteCount {
            if let record = MessageRecord(header, bytes, at: at) {
                for index in 0..<record.entryCount {
                    let (queue, sequence) = record.entry(index, in: bytes)
                    if isKnown(queue) { hinted.append((queue, sequence.value)) }
                }
            } else if let record = SettleRecord(header, bytes, at: at) {
                // The bytes are damaged: a range may be any number.
                for run in record.runs where isKnown(run.queue) && run.range.isPossible {
                    unsettled.append((run.queue, run.range))
                }
            }
            at += header.length
        }
    }
}

/// Collects damage and gaps during a replay, and brings them together at its end.
struct LostEntries {
    /// Sequences of one queue that no record was found for.
    private struct Gap {
        let queue: QueueID
        let range: Range<UInt64>
        /// The damage that was found last before the gap showed.
        let after: Int
    }

    /// How the reason ends where no entry was lost, but what settled some.
    static let forgottenSettles =
        "; it seems to have settled these entries, which may be delivered again"

    private(set) var ranges: [DamagedRange] = []
    private var gaps: [Gap] = []

    mutating func add(_ damage: Damage) { ranges.append(DamagedRange(damage)) }

    mutating func add(_ range: DamagedRange) { ranges.append(range) }

    /// Notes that a queue's entries in `range` have no record; without damage before it means nothing.
    mutating func addGap(_ queue: QueueID, _ range: Range<UInt64>) {
        if !ranges.isEmpty {
            gaps.append(Gap(queue: queue, range: range, after: ranges.count - 1))
        }
    }

    /// Adds what a footer says about the damaged ranges of its segment.
    mutating func addFooter(
        _ line: SegmentFooter.Line,
        _ postings: Postings,
        segmentFile: String
    ) {
        for index in ranges.indices where ranges[index].damage.file == segmentFile {
            let damage = ranges[index].damage
            let bytes = damage.offset..<damage.offset + damage.length
            for (entry, offset) in postings.offsets.enumerated() where bytes.contains(Int(offset)) {
                ranges[index].listed.append((line.queue, postings.first + UInt64(entry)))
            }
        }
    }

    /// The damage with the queues and entries that it took; one item for each queue.
    ///
    /// Linear in the entries that were lost.
    func resolved(_ state: StoreState) -> [Damage] {
        var taken: [[QueueID: Set<UInt64>]] = ranges.map { range in
            Dictionary(grouping: range.listed, by: \.queue).mapValues { Set($0.map(\.sequence)) }
        }
        var whole: [[(QueueID, Range<UInt64>)]] = ranges.map { _ in [] }
        for gap in gaps {
            var found: Set<UInt64> = []
            for index in 0...gap.after {
                let candidates = ranges[index].listed + ranges[index].hinted
                for entry in candidates
                where entry.queue == gap.queue && gap.range.contains(entry.sequence)
                    && found.insert(entry.sequence).inserted
                {
                    taken[index][gap.queue, default: []].insert(entry.sequence)
                }
            }
            var start = gap.range.lowerBound
            for sequence in found.sorted() {
                if start < sequence { whole[gap.after].append((gap.queue, start..<sequence)) }
                start = sequence + 1
            }
            if start < gap.range.upperBound {
                whole[gap.after].append((gap.queue, start..<gap.range.upperBound))
            }
        }
        takeLast(&taken, state)
        return ranges.indices.flatMap { index in
            describe(ranges[index], taken[index], whole[index], state)
        }
    }

    /// Entries after a queue's last sound one leave no gap: hints are believed as far as they
    /// follow it without one.
    private func takeLast(_ taken: inout [[QueueID: Set<UInt64>]], _ state: StoreState) {
        var hints: [QueueID: [UInt64: Int]] = [:]
        for index in ranges.indices {
            for entry in ranges[index].hinted {
                hints[entry.queue, default: [:]][entry.sequence] = index
            }
        }
        for (queue, indices) in hints {
            guard var next = state.queue(queue)?.nextSequence else { continue }
            while let index = indices[next] {
                taken[index][queue, default: []].insert(next)
                next += 1
            }
        }
    }

    private func describe(
        _ range: DamagedRange,
        _ taken: [QueueID: Set<UInt64>],
        _ whole: [(QueueID, Range<UInt64>)],
        _ state: StoreState
    ) -> [Damage] {
        var byQueue: [QueueID: [Range<UInt64>]] = [:]
        for (queue, sequences) in taken {
            byQueue[queue] = sequences.map { $0..<$0 + 1 }
        }
        for (queue, range) in whole { byQueue[queue, default: []].append(range) }
        var result: [Damage] = byQueue.keys.sorted().map { queue in
            var damage = range.damage
            damage.queue = state.queue(queue)?.name ?? "with id \(queue.value)"
            damage.entries = Self.merged(byQueue[queue] ?? [])
            return damage
        }
        let settles = Dictionary(grouping: range.unsettled, by: \.queue)
        for id in settles.keys.sorted() {
            guard let queue = state.queue(id) else { continue }
            let entries = (settles[id] ?? []).compactMap { $0.range.clamped(to: queue) }
            guard !entries.isEmpty else { continue }
            result.append(
                Damage(
                    file: range.damage.file,
                    offset: range.damage.offset,
                    length: range.damage.length,
                    queue: queue.name,
                    entries: entries,
                    reason: range.damage.reason + Self.forgottenSettles
                )
            )
        }
        return result.isEmpty ? [range.damage] : result
    }

    /// Rising ranges without overlaps.
    private static func merged(_ ranges: [Range<UInt64>]) -> [SequenceRange] {
        var result: [Range<UInt64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, range.lowerBound <= last.upperBound {
                let end = max(last.upperBound, range.upperBound)
                result[result.count - 1] = last.lowerBound..<end
            } else {
                result.append(range)
            }
        }
        return result.map {
            SequenceRange(first: $0.lowerBound, count: UInt32(clamping: $0.count))
        }
    }
}

extension SequenceRange {
    /// Whether a record that the engine wrote could hold it.
    fileprivate var isPossible: Bool {
        first > 0 && count > 0 && first <= .max - UInt64(count)
    }

    /// The part of it that the queue has entries for; nil if there is none.
    fileprivate func clamped(to queue: QueueState) -> SequenceRange? {
        let start = max(first, queue.firstSequence)
        let end = min(end, queue.nextSequence)
        guard start < end else { return nil }
        return SequenceRange(first: start, count: UInt32(clamping: end - start))
    }
}
