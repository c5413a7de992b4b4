import Base

/// Entries of all queues that are settled and in no record yet, all for the same reason.
///
/// They are kept as runs, each of one queue. A queue knows where its last one stands, and goes on with it:
/// nothing need be looked for, and nothing done for each queue when the record is written.
///
/// Confinement: the store's owner.
struct PendingSettles {
    private var earlier: [SettledRun] = []
    /// The run that was begun last, which mostly goes on; it stands where the value itself does.
    private var last = Self.none
    private(set) var reason: UInt8 = 0

    /// No entry follows on it, for sequences begin at 1.
    private static let none = SettledRun(queue: QueueID(0), first: 0, count: 0, bytes: 0)
    /// Lists longer than that give their memory back when they are forgotten.
    private static let keptMax = 512

    var isEmpty: Bool { last.count == 0 }
    var count: Int { isEmpty ? 0 : earlier.count + 1 }

    subscript(index: Int) -> SettledRun { index < earlier.count ? earlier[index] : last }

    /// Whether one more entry that is settled for this reason may be added.
    @inline(__always)
    func takes(reason: UInt8) -> Bool {
        isEmpty || (reason == self.reason && count < SettleRecord.runsMax)
    }

    /// Adds an entry of `queue` whose headers and body come to `bytes`, if the list takes its reason.
    @inline(__always)
    mutating func add(_ sequence: UInt64, bytes: UInt64, reason: UInt8, of queue: QueueState) {
        self.reason = reason
        if last.goOn(with: sequence, bytes: bytes, of: queue.id) { return }
        // What the queue remembers may be out of date; any run of its own serves that ends there.
        let index = Int(queue.lastPendingRun)
        if index < earlier.count,
            earlier[index].goOn(with: sequence, bytes: bytes, of: queue.id)
        {
            return
        }
        if !isEmpty { earlier.append(last) }
        queue.lastPendingRun = UInt32(earlier.count)
        last = SettledRun(queue: queue.id, first: sequence, count: 1, bytes: bytes)
    }

    /// Forgets those of a queue.
    mutating func removeAll(of queue: QueueID) {
        earlier.removeAll { $0.queue == queue }
        if last.queue == queue { last = earlier.popLast() ?? Self.none }
    }

    mutating func removeAll() {
        if !earlier.isEmpty { earlier.removeAll(keepingCapacity: earlier.count < Self.keptMax) }
        last = Self.none
    }
}
