import Base

/// Posting lists of sealed segments that were needed last, up to a number of bytes.
///
/// Confinement: broker loop.
struct PostingCache {
    private struct Key: Hashable {
        let segment: UInt32
        let queue: QueueID
    }

    private struct Slot {
        let postings: Postings
        var lastUse: UInt64
    }

    private let bytesMax: Int
    private var slots: [Key: Slot] = [:]
    private var bytes = 0
    private var uses: UInt64 = 0

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// A list that is held, which counts as a use.
    mutating func find(segment: UInt32, queue: QueueID) -> Postings? {
        let key = Key(segment: segment, queue: queue)
        guard slots[key] != nil else { return nil }
        uses += 1
        slots[key]?.lastUse = uses
        return slots[key]?.postings
    }

    /// Holds a list, and lets go of those used longest ago once there are too many bytes.
    ///
    /// A single list over the bound is held alone. Half of the bytes go at once, so that a seal that
    /// brings lists of a hundred thousand queues costs a sort now and then, not one for each.
    mutating func insert(_ postings: Postings, segment: UInt32, queue: QueueID) {
        let key = Key(segment: segment, queue: queue)
        uses += 1
        if let old = slots.updateValue(Slot(postings: postings, lastUse: uses), forKey: key) {
            bytes -= Self.size(old.postings)
        }
        bytes += Self.size(postings)
        if bytes > bytesMax { evict() }
    }

    private mutating func evict() {
        for (key, slot) in slots.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            if bytes <= bytesMax / 2 || slots.count == 1 { return }
            slots[key] = nil
            bytes -= Self.size(slot.postings)
        }
    }

    private static func size(_ postings: Postings) -> Int { postings.offsets.count * 4 + 64 }
}
