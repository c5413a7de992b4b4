import Base
import HeapModule

/// Entries of one queue that came back and wait before they are delivered again.
///
/// They are in memory: each takes about a hundred bytes.
struct DelayedEntries {
    struct Entry {
        let sequence: EntrySequence
        let deliveryCount: UInt32
        let isRejected: Bool
        let due: MonotonicTime
        /// For memory queues, which have no other place for it.
        let item: FetchedMessage?
    }

    private struct Place: Comparable {
        let due: MonotonicTime
        let sequence: EntrySequence

        static func < (left: Self, right: Self) -> Bool {
            (left.due, left.sequence) < (right.due, right.sequence)
        }
    }

    private var entries: [EntrySequence: Entry] = [:]
    /// Those that were taken out stay until their time comes.
    private var places = Heap<Place>()
    /// Bytes of the messages in `entries`.
    private(set) var bytes = 0

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// When the first one is due.
    var nextDue: MonotonicTime? { entries.isEmpty ? nil : places.min?.due }

    func contains(_ sequence: EntrySequence) -> Bool {
        !entries.isEmpty && entries[sequence] != nil
    }

    mutating func insert(_ entry: Entry) {
        entries[entry.sequence] = entry
        places.insert(Place(due: entry.due, sequence: entry.sequence))
        bytes += entry.item?.message.byteCount ?? 0
    }

    mutating func remove(_ sequence: EntrySequence) -> Entry? {
        guard let entry = entries.removeValue(forKey: sequence) else { return nil }
        bytes -= entry.item?.message.byteCount ?? 0
        if entries.isEmpty { places = [] }
        return entry
    }

    /// Takes out all that are due, in rising order.
    mutating func takeDue(_ now: MonotonicTime) -> [Entry] {
        var due: [Entry] = []
        while let place = places.min, place.due <= now {
            places.removeMin()
            // It may have been taken out, and even have come again with another time.
            guard let entry = entries[place.sequence], entry.due == place.due else { continue }
            if let entry = remove(entry.sequence) { due.append(entry) }
        }
        return due.sorted { $0.sequence < $1.sequence }
    }

    /// All messages that it holds, in no order.
    var items: [FetchedMessage] { entries.values.compactMap(\.item) }
}
