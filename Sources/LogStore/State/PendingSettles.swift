import Base

/// Entries of all queues that are settled and in no record yet.
///
/// They are kept as runs, each of one queue and for one reason. A queue knows where its last one stands, and
/// goes on with it: nothing need be looked for, and nothing done for each queue when the record is written.
///
/// Confinement: the store's owner.
struct PendingSettles {
    private var earlier: [SettledRun] = []
    /// The run that was begun last, which mostly goes on; it stands where the value itself does.
    private var last = Self.none

    /// No entry follows on it, for sequences begin at 1.
    private static let none = SettledRun(queue: QueueID(0), first: 0, count: 0, bytes: 0, reason: 0)

    var isEmpty: Bool { last.count == 0 }
    var count: Int { isEmpty ? 0 : earlier.count + 1 }

    subscript(index: Int) -> SettledRun { index < earlier.count ? earlier[index] : last }

    /// A record has no room for another run.
    @inline(__always)
    var isFull: Bool { earlier.count + 1 >= SettleRecord.runsMax }

    /// Adds an entry of `queue` whose headers and body come to `bytes`.
    @inline(__always)
    mutating func add(_ sequence: UInt64, bytes: UInt64, reason: UInt8, of queue: QueueState) {
        let id = queue.id
        if last.goOn(with: sequence, bytes: bytes, reason: reason, of: id) { return }
        // What the queue remembers may be out of date; any run of its own serves that ends there.
        let index = Int(queue.lastPendingRun)
        if index < earlier.count,
            earlier[index].goOn(with: sequence, bytes: bytes, reason: reason, of: id)
        {
            return
        }
        if !isEmpty { earlier.append(last) }
        queue.lastPendingRun = UInt32(earlier.count)
        last = SettledRun(queue: id, first: sequence, count: 1, bytes: bytes, reason: reason)
    }

    /// Forgets all; the memory for them, at most a few times 100 KiB, is kept.
    mutating func removeAll() {
        if !earlier.isEmpty { earlier.removeAll(keepingCapacity: true) }
        last = Self.none
    }
}
