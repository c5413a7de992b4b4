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

    /// Holds a list, and lets go of those used longest ago while there are too many bytes.
    ///
    /// A single list over the bound is held alone. Linear in the number of lists when some must go.
    mutating func insert(_ postings: Postings, segment: UInt32, queue: QueueID) {
        let key = Key(segment: segment, queue: queue)
        uses += 1
        if let old = slots.updateValue(Slot(postings: postings, lastUse: uses), forKey: key) {
            bytes -= Self.size(old.postings)
        }
        bytes += Self.size(postings)
        while bytes > bytesMax, slots.count > 1,
            let oldest = slots.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            slots[oldest.key] = nil
            bytes -= Self.size(oldest.value.postings)
        }
    }

    private static func size(_ postings: Postings) -> Int { postings.offsets.count * 4 + 64 }
}
