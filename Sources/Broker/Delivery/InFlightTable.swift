import Base
import DequeModule

/// One delivery that is not settled.
///
/// 64 bytes: each subscription has rows of its own, and where there are many subscriptions each line of the
/// processor's cache that a row takes comes from far away.
struct InFlight {
    enum State {
        case delivered
        /// Claimed by an open transaction, which alone may settle or return it.
        case held
        /// Done, and waiting for those before it to be taken off the table.
        case gone
    }

    /// By reference, for the rows of persistent queues have no use for the space.
    final class Kept {
        let message: Message

        init(_ message: Message) { self.message = message }
    }

    let number: DeliveryNumber
    let queue: QueueID
    let sequence: EntrySequence
    /// When the message was taken, in ms since 1970.
    let time: UInt64
    /// When it goes back if nobody answered; `.max` = never.
    let deadline: MonotonicTime
    /// Of the message; the store takes none that needs more than 32 bits.
    let byteCount: UInt32
    /// Deliveries of the entry before this one.
    let redeliveries: UInt32
    /// For memory queues, which have no other place for it while it is in flight.
    var kept: Kept?
    var state = State.delivered

    var bytes: Int { Int(byteCount) }
    var id: MessageID { MessageID(queue: queue, sequence: sequence) }

    func isOverdue(_ now: MonotonicTime) -> Bool { state == .delivered && deadline <= now }
}

/// The deliveries in flight on one subscription, in the order of their numbers.
///
/// What is done in the middle stays as a gap until the front reaches it, or until there are more
/// gaps than deliveries; so every operation is O(log n) or better, amortised.
struct InFlightTable: ~Copyable {
    private var rows = UniqueDeque<InFlight>()
    private var gaps = 0
    private var heldCount = 0
    /// Every row up to this one is held or gone, so that cumulative answers need not look there.
    private var claimedThrough = DeliveryNumber(0)
    /// The last delivery of each entry, once one was asked for that is not near the front.
    ///
    /// Rows that are gone stay in it until it is much larger than the table.
    private var numbers: [MessageID: DeliveryNumber]?

    /// Rows that are looked through one by one before `numbers` is worth its memory.
    private static let searchedRowsMax = 16

    /// Deliveries in flight, held ones among them.
    var count: Int { rows.count - gaps }

    mutating func append(_ row: consuming InFlight) {
        if let count = numbers?.count {
            numbers?[row.id] = row.number
            if count > 2 * rows.count + 64 { numbers = nil }
        }
        rows.append(row)
    }

    /// The row of a delivery that nothing has claimed.
    func index(of number: DeliveryNumber) -> Int? {
        guard let index = row(of: number), rows[index].state == .delivered else { return nil }
        return index
    }

    /// The row of the entry's delivery, if nothing has claimed it.
    ///
    /// O(log n), amortised.
    mutating func index(of message: MessageID) -> Int? {
        for index in 0..<min(rows.count, Self.searchedRowsMax)
        where rows[index].id == message && rows[index].state == .delivered {
            return index
        }
        guard rows.count > Self.searchedRowsMax else { return nil }
        guard let number = number(of: message), let index = row(of: number),
            rows[index].state == .delivered
        else { return nil }
        return index
    }

    private mutating func number(of message: MessageID) -> DeliveryNumber? {
        if let numbers { return numbers[message] }
        var made: [MessageID: DeliveryNumber] = [:]
        made.reserveCapacity(rows.count)
        for index in rows.indices where rows[index].state != .gone {
            made[rows[index].id] = rows[index].number
        }
        numbers = made
        return made[message]
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
        rows[index].kept = nil
        gaps += 1
        closeGaps()
        return row
    }

    /// Takes off all rows up to and including `index` but those that a transaction holds.
    mutating func takeAll(through index: Int, _ body: (InFlight) -> Void) {
        guard heldCount > 0 else {
            for _ in 0...index {
                let row = rows.removeFirst()
                if row.state == .gone { gaps -= 1 } else { body(row) }
            }
            closeGaps()
            return
        }
        let last = rows[index].number
        for place in firstUnclaimed...index where rows[place].state == .delivered {
            body(rows[place])
            rows[place].state = .gone
            rows[place].kept = nil
            gaps += 1
        }
        claimedThrough = last
        closeGaps()
    }

    /// Where the rows past `claimedThrough` begin.
    private var firstUnclaimed: Int { index(after: claimedThrough) }

    /// Takes off the oldest row if its number is not above `number`.
    mutating func takeFirst(through number: DeliveryNumber) -> InFlight? {
        guard !rows.isEmpty, rows[0].number <= number else { return nil }
        return take(at: 0)
    }

    /// Takes off everything.
    mutating func takeAll() -> [InFlight] {
        var taken: [InFlight] = []
        while let row = rows.popFirst() { if row.state != .gone { taken.append(row) } }
        self = InFlightTable()
        return taken
    }

    /// Takes off what a client did not answer in time, but what a transaction holds: that one's age is
    /// bounded, too.
    ///
    /// O(deliveries in flight).
    mutating func takeOverdue(_ now: MonotonicTime) -> [InFlight] {
        guard rows.indices.contains(where: { rows[$0].isOverdue(now) }) else { return [] }
        var overdue: [InFlight] = []
        rows.removeAll { row in
            if row.isOverdue(now) { overdue.append(row) }
            return row.isOverdue(now) || row.state == .gone
        }
        gaps = 0
        if rows.isEmpty { numbers = nil }
        return overdue
    }

    /// When the next lease ends; nil if none does.
    ///
    /// O(deliveries in flight).
    var nextDeadline: MonotonicTime? {
        var next: MonotonicTime?
        for index in rows.indices where rows[index].state != .gone {
            let deadline = rows[index].deadline
            if deadline.nanoseconds < .max, next.map({ deadline < $0 }) ?? true { next = deadline }
        }
        return next
    }

    // MARK: Transactions

    /// Numbers of all rows up to and including `last` that nothing has claimed.
    func unclaimed(through last: Int) -> [DeliveryNumber] {
        (firstUnclaimed...last).compactMap {
            rows[$0].state == .delivered ? rows[$0].number : nil
        }
    }

    /// The number of a row.
    func number(at index: Int) -> DeliveryNumber { rows[index].number }

    mutating func hold(_ number: DeliveryNumber) {
        guard let index = row(of: number) else { return }
        invariant(rows[index].state == .delivered, "one transaction holds a delivery")
        rows[index].state = .held
        heldCount += 1
    }

    /// Notes that every row up to a number is claimed now.
    mutating func allClaimed(through number: DeliveryNumber) {
        claimedThrough = max(claimedThrough, number)
    }

    /// Lets go of a held row, if it is still there.
    mutating func unhold(_ number: DeliveryNumber) {
        guard let index = row(of: number), rows[index].state == .held else { return }
        rows[index].state = .delivered
        heldCount -= 1
        if number <= claimedThrough { claimedThrough = DeliveryNumber(number.value - 1) }
    }

    /// Reads a held row, if it is still there.
    func held(_ number: DeliveryNumber) -> InFlight? {
        guard let index = row(of: number), rows[index].state == .held else { return nil }
        return rows[index]
    }

    /// Takes a held row off, if it is still there.
    mutating func takeHeld(_ number: DeliveryNumber) -> InFlight? {
        guard let index = row(of: number), rows[index].state == .held else { return nil }
        heldCount -= 1
        return take(at: index)
    }

    // MARK: Rows

    private func row(of number: DeliveryNumber) -> Int? {
        guard !rows.isEmpty else { return nil }
        if rows[0].number == number { return 0 }
        let index = index(after: DeliveryNumber(number.value &- 1))
        guard index < rows.count, rows[index].number == number, rows[index].state != .gone else {
            return nil
        }
        return index
    }

    /// The first row with a higher number, or the end.
    private func index(after number: DeliveryNumber) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].number > number { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private mutating func closeGaps() {
        while !rows.isEmpty, rows[0].state == .gone {
            rows.removeFirst()
            gaps -= 1
        }
        if rows.isEmpty { numbers = nil }
        guard gaps > rows.count / 2 + 16 else { return }
        rows.removeAll { $0.state == .gone }
        gaps = 0
    }
}
