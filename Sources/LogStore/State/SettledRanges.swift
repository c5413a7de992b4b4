/// Entries of one queue that are settled and in no record yet: runs, in the order in which they were settled.
///
/// The last run stands where the value itself stands. Mostly it is the only one, and memory of its own would
/// be one place more to fetch for each of many queues.
struct SettledRanges {
    private var earlier: [SequenceRange] = []
    private var last = SequenceRange(first: 0, count: 0)

    /// More earlier runs than that give their memory back when they are forgotten.
    private static let keptMax = 64

    init() {}

    init(_ ranges: [SequenceRange]) {
        earlier = ranges
        if let last = earlier.popLast() { self.last = last }
    }

    var isEmpty: Bool { last.count == 0 }
    var count: Int { isEmpty ? 0 : earlier.count + 1 }

    subscript(index: Int) -> SequenceRange { index < earlier.count ? earlier[index] : last }

    /// Adds an entry to the last run if it follows on that, else as a run of its own.
    @inline(__always)
    mutating func add(_ sequence: UInt64) {
        if !isEmpty {
            if sequence == last.end {
                last.count += 1
                return
            }
            earlier.append(last)
        }
        last = SequenceRange(first: sequence, count: 1)
    }

    mutating func removeAll() {
        last.count = 0
        if !earlier.isEmpty { earlier.removeAll(keepingCapacity: earlier.count < Self.keptMax) }
    }
}
