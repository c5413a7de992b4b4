import Base
import DequeModule

/// One delivery that is not settled.
struct InFlight {
    enum State {
        case delivered
        /// Claimed by an open transaction, which alone may settle or return it.
        case held
        /// Done, and waiting for those before it to be taken off the table.
        case gone
    }

    let number: DeliveryNumber
    let sequence: EntrySequence
    let bytes: Int
    /// Deliveries of the entry before this one.
    let redeliveries: UInt32
    /// For memory queues, which have no other place for it while it is in flight.
    var message: Message?
    var state = State.delivered
}

/// The deliveries in flight on one subscription, in the order of their numbers.
///
/// What is done in the middle stays as a gap until the front reaches it, or until there are more
/// gaps than deliveries; so every operation is O(log n) or better, amortised.
struct InFlightTable {
    private var rows = Deque<InFlight>()
    private var gaps = 0

    /// Deliveries in flight, held ones among them.
    var count: Int { rows.count - gaps }

    mutating func append(_ row: InFlight) {
        rows.append(row)
    }

    /// The row of a delivery that nothing has claimed.
    func index(of number: DeliveryNumber) -> Int? {
        guard let index = row(of: number), rows[index].state == .delivered else { return nil }
        return index
    }

    /// The row of the entry's delivery, if nothing has claimed it.
    ///
    /// O(rows before it).
    func index(of sequence: EntrySequence) -> Int? {
        rows.firstIndex { $0.sequence == sequence && $0.state == .delivered }
    }

    /// Takes one row off.
    mutating func take(at index: Int) -> InFlight {
        invariant(rows[index].state != .gone, "a delivery is settled once")
        if index == 0 {
            // The common case: moved out, not copied.
            let row = rows.removeFirst()
            closeGaps()
            return row
        }
        let row = rows[index]
        rows[index].state = .gone
        rows[index].message = nil
        gaps += 1
        closeGaps()
        return row
    }

    /// Takes off all rows up to and including `index` but those that a transaction holds.
    mutating func takeAll(through index: Int, _ body: (InFlight) -> Void) {
        var held: [InFlight] = []
        for _ in 0...index {
            let row = rows.removeFirst()
            switch row.state {
            case .delivered: body(row)
            case .held: held.append(row)
            case .gone: gaps -= 1
            }
        }
        rows.prepend(contentsOf: held)
        closeGaps()
    }

    /// Takes off the oldest row if its number is not above `number`.
    mutating func takeFirst(through number: DeliveryNumber) -> InFlight? {
        guard !rows.isEmpty, rows[0].number <= number else { return nil }
        return take(at: 0)
    }

    /// Takes off everything.
    mutating func takeAll() -> [InFlight] {
        defer {
            rows = []
            gaps = 0
        }
        return rows.filter { $0.state != .gone }
    }

    // MARK: Transactions

    /// Numbers of the rows from `first` up to and including `last` that nothing has claimed.
    func unclaimed(from first: Int, through last: Int) -> [DeliveryNumber] {
        rows[first...last].filter { $0.state == .delivered }.map(\.number)
    }

    mutating func hold(_ number: DeliveryNumber) {
        guard let index = row(of: number) else { return }
        invariant(rows[index].state == .delivered, "one transaction holds a delivery")
        rows[index].state = .held
    }

    /// Lets go of a held row, if it is still there.
    mutating func unhold(_ number: DeliveryNumber) {
        guard let index = row(of: number), rows[index].state == .held else { return }
        rows[index].state = .delivered
    }

    /// Reads a held row, if it is still there.
    func held(_ number: DeliveryNumber) -> InFlight? {
        guard let index = row(of: number), rows[index].state == .held else { return nil }
        return rows[index]
    }

    /// Takes a held row off, if it is still there.
    mutating func takeHeld(_ number: DeliveryNumber) -> InFlight? {
        guard let index = row(of: number), rows[index].state == .held else { return nil }
        return take(at: index)
    }

    // MARK: Rows

    private func row(of number: DeliveryNumber) -> Int? {
        guard !rows.isEmpty else { return nil }
        if rows[0].number == number { return 0 }
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].number < number { low = middle + 1 } else { high = middle }
        }
        guard low < rows.count, rows[low].number == number, rows[low].state != .gone else {
            return nil
        }
        return low
    }

    private mutating func closeGaps() {
        while !rows.isEmpty, rows[0].state == .gone {
            rows.removeFirst()
            gaps -= 1
        }
        guard gaps > rows.count / 2 + 16 else { return }
        rows.removeAll { $0.state == .gone }
        gaps = 0
    }
}
