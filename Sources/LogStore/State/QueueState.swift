import Base

/// One queue as the log knows it: extents of unsettled entries in rising order, and counts.
///
/// Confinement: the store's owner.
final class QueueState {
    // What every message needs stands first, so that it takes few lines of the processor's cache.

    let id: QueueID
    /// The segment that `activeOffsets` speaks of.
    private(set) var activeSegment: UInt32 = 0
    /// Where its last run stood among the store's `pendingSettles`.
    var lastPendingRun: UInt32 = 0
    private(set) var nextSequence: UInt64
    private(set) var liveCount = 0
    private(set) var liveBytes: UInt64 = 0
    private(set) var extents: [Extent] = []

    // The entries in the active segment, whose posting list is still in memory.

    private(set) var activeFirst: UInt64 = 0
    private(set) var activeOffsets: [UInt32] = []
    /// How many it had in the segment before, as a guess for the next.
    private var expectedOffsets: UInt32 = 0

    /// How entries came back; only unsettled ones.
    private(set) var requeues: [UInt64: Requeue] = [:]

    private(set) var name: String

    /// A list grows from there on as it needs to.
    private static let expectedOffsetsMax: UInt32 = 64

    init(id: QueueID, name: String, nextSequence: UInt64 = 1) {
        self.id = id
        self.name = name
        self.nextSequence = nextSequence
    }

    /// The oldest unsettled entry, or the next sequence.
    var firstSequence: UInt64 { extents.first?.firstUnsettled(from: 0) ?? nextSequence }

    /// Whether the queue has a queue record in the given segment.
    func isNamed(in segment: UInt32) -> Bool { activeSegment == segment }

    /// Notes that the queue's name stands in `segment`, which is the active one now.
    func beginSegment(_ segment: UInt32) {
        activeSegment = segment
        activeFirst = nextSequence
        activeOffsets.removeAll(keepingCapacity: activeOffsets.count < 1 << 17)
        activeOffsets.reserveCapacity(Int(min(expectedOffsets, Self.expectedOffsetsMax)))
    }

    /// Forgets the posting list of the active segment once it is in a footer.
    func endSegment() {
        activeSegment = 0
        expectedOffsets = UInt32(clamping: activeOffsets.count)
        activeOffsets = []
    }

    /// Takes the name that a record gives, after damage took the one before.
    func rename(_ name: String) {
        self.name = name
    }

    /// Notes that the queue will go on at `sequence` if that is further than it is.
    func raiseNextSequence(to sequence: UInt64) {
        nextSequence = max(nextSequence, sequence)
    }

    /// Adds an entry that stands in the active segment; true if that began an extent.
    @inline(__always)
    func append(
        _ sequence: UInt64,
        bytes: Int,
        time: UInt64,
        expires: UInt64,
        segment: UInt32,
        offset: UInt32
    ) -> Bool {
        if activeOffsets.isEmpty { activeFirst = sequence }
        // Entries that damage took leave a hole, so that the list stays dense.
        while activeFirst + UInt64(activeOffsets.count) < sequence { activeOffsets.append(0) }
        activeOffsets.append(offset)
        nextSequence = sequence + 1
        liveCount += 1
        liveBytes += UInt64(bytes)
        let last = extents.count - 1
        if last >= 0, extents[last].segment == segment, extents[last].end == sequence {
            extents[last].append(bytes: bytes, time: time, expires: expires)
            return false
        }
        var times = ExtentTimes()
        times.add(time: time, expires: expires)
        extents.append(
            Extent(
                segment: segment,
                first: sequence,
                count: 1,
                liveBytes: UInt64(bytes),
                times: times
            )
        )
        return true
    }

    /// What settling an entry changed.
    struct Settled {
        let bytes: UInt64
        /// Where the message stands.
        let segment: UInt32
        /// Whether that was the last unsettled entry of its extent.
        let endsExtent: Bool
    }

    /// Settles one entry; nothing if it is unknown or was settled before.
    func settle(_ sequence: UInt64, bytes: Int?) -> Settled? {
        guard let index = extentIndex(of: sequence) else { return nil }
        let (isNew, freed) = extents[index].settle(sequence, bytes: bytes)
        guard isNew else { return nil }
        liveCount -= 1
        liveBytes -= freed
        if !requeues.isEmpty { requeues[sequence] = nil }
        let segment = extents[index].segment
        guard extents[index].isSettled else {
            return Settled(bytes: freed, segment: segment, endsExtent: false)
        }
        if index == extents.count - 1 { extents.removeLast() } else { extents.remove(at: index) }
        return Settled(bytes: freed, segment: segment, endsExtent: true)
    }

    /// Settles every entry below `end`; the segments of the extents that ended.
    func purge(below end: UInt64) -> [UInt32] {
        var ended: [UInt32] = []
        while let extent = extents.first, extent.first < end {
            if extent.end <= end {
                liveCount -= Int(extent.liveCount)
                liveBytes -= extent.liveBytes
                ended.append(extent.segment)
                extents.removeFirst()
                continue
            }
            var sequence = extent.first
            while let next = extents[0].firstUnsettled(from: sequence), next < end {
                if let settled = settle(next, bytes: nil), settled.endsExtent {
                    ended.append(extent.segment)
                    break
                }
                sequence = next + 1
            }
            break
        }
        if !requeues.isEmpty { requeues = requeues.filter { $0.key >= end } }
        return ended
    }

    /// Records how an unsettled entry came back.
    func requeue(_ sequence: UInt64, _ requeue: Requeue) {
        guard let index = extentIndex(of: sequence), !extents[index].isSettled(sequence) else {
            return
        }
        requeues[sequence] = requeue
    }

    /// The index of the extent that holds the sequence, settled or not.
    func extentIndex(of sequence: UInt64) -> Int? {
        guard !extents.isEmpty, sequence >= extents[0].first else { return nil }
        if sequence < extents[0].end { return 0 }
        let index = extentIndex(from: sequence)
        guard index < extents.count, extents[index].first <= sequence else { return nil }
        return index
    }

    /// The index of the first extent that ends after the sequence; `extents.count` if none does.
    @inline(__always)
    func extentIndex(from sequence: UInt64) -> Int {
        if !extents.isEmpty, sequence < extents[0].end { return 0 }
        return searchExtent(from: sequence)
    }

    private func searchExtent(from sequence: UInt64) -> Int {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].end <= sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The extents in one segment; a queue's extents lie in segments of rising numbers.
    func extents(in segment: UInt32) -> ArraySlice<Extent> {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].segment < segment { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < extents.count, extents[end].segment == segment { end += 1 }
        return extents[low..<end]
    }

    /// Takes over what a checkpoint held.
    func restore(extents: [Extent], requeues: [UInt64: Requeue]) {
        self.extents = extents
        self.requeues = requeues
        liveCount = extents.reduce(0) { $0 + Int($1.liveCount) }
        liveBytes = extents.reduce(0) { $0 + $1.liveBytes }
    }

    /// Takes over the posting list of the active segment, read again at recovery, for entries that
    /// a checkpoint already had as an extent.
    func restoreOffset(_ sequence: UInt64, offset: UInt32) {
        if activeOffsets.isEmpty { activeFirst = sequence }
        guard sequence >= activeFirst + UInt64(activeOffsets.count) else { return }
        while activeFirst + UInt64(activeOffsets.count) < sequence { activeOffsets.append(0) }
        activeOffsets.append(offset)
    }
}
