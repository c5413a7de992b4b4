import Base
import LogStore

/// One message's headers and body, which follow from a key, so that nobody has to keep them.
struct Content: Equatable {
    let key: UInt64
    let headerBytes: Int
    let bodyBytes: Int
    /// In ms since 1970; 0 = never.
    var expires: UInt64 = 0
    /// When it was sent, in ms since 1970.
    var time: UInt64 = 0

    var byteCount: Int { headerBytes + bodyBytes }
    var headers: [UInt8] { Self.bytes(key, headerBytes) }
    var body: [UInt8] { Self.bytes(~key, bodyBytes) }

    private static func bytes(_ seed: UInt64, _ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        let words = (0..<(count + 7) / 8).map { _ in generator.next() }
        return words.withUnsafeBytes { Array($0.prefix(count)) }
    }
}

/// One unsettled entry as the model knows it.
struct ModelEntry: Equatable {
    let sequence: UInt64
    let content: Content
    var requeue: Requeue?
}

/// One queue as the model knows it: entries in rising order.
struct ModelQueue: Equatable {
    let name: String
    var next: UInt64 = 1
    var entries: [ModelEntry] = []

    func index(of sequence: UInt64) -> Int? {
        let index = lowerBound(sequence)
        return index < entries.count && entries[index].sequence == sequence ? index : nil
    }

    /// The index of the first entry from `sequence` on.
    func lowerBound(_ sequence: UInt64) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// What one call to the store changes.
enum Change {
    case declare(UInt32, String)
    case delete(UInt32)
    case enqueue([(queue: UInt32, sequence: UInt64)], Content)
    case settle(UInt32, UInt64)
    case requeue(UInt32, UInt64, Requeue)
    case purge(UInt32, below: UInt64)
}

extension Change: CustomStringConvertible {
    var description: String {
        switch self {
        case .declare(let queue, let name): "declare queue \(queue), \(name)"
        case .delete(let queue): "delete queue \(queue)"
        case .enqueue(let entries, let content):
            "send \(content.byteCount) bytes as "
                + entries.map { "\($0.queue):\($0.sequence)" }.joined(separator: ", ")
        case .settle(let queue, let sequence): "settle \(queue):\(sequence)"
        case .requeue(let queue, let sequence, let requeue):
            "requeue \(queue):\(sequence), \(requeue)"
        case .purge(let queue, let end): "purge queue \(queue) below \(end)"
        }
    }
}

/// All queues, as plain as can be.
struct ModelState: Equatable {
    var queues: [UInt32: ModelQueue] = [:]

    var orderedIDs: [UInt32] { queues.keys.sorted() }

    mutating func apply(_ change: Change) {
        switch change {
        case .declare(let id, let name):
            queues[id] = ModelQueue(name: name)
        case .delete(let id):
            queues[id] = nil
        case .enqueue(let entries, let content):
            for (queue, sequence) in entries {
                queues[queue]?.entries.append(ModelEntry(sequence: sequence, content: content))
                queues[queue]?.next = sequence + 1
            }
        case .settle(let id, let sequence):
            guard let index = queues[id]?.index(of: sequence) else { return }
            queues[id]?.entries.remove(at: index)
        case .requeue(let id, let sequence, let requeue):
            guard let index = queues[id]?.index(of: sequence) else { return }
            queues[id]?.entries[index].requeue = requeue
        case .purge(let id, let end):
            guard let count = queues[id]?.lowerBound(end) else { return }
            queues[id]?.entries.removeFirst(count)
        }
    }

    /// Whether two states agree in what cannot be settled away: the queues and their next sequences.
    func hasSameQueues(as other: ModelState) -> Bool {
        queues.count == other.queues.count
            && queues.allSatisfy { other.queues[$0.key]?.next == $0.value.next }
    }

    /// What tells `found` from this state, if more than entries that may have been settled.
    func difference(to found: ModelState, optional: Set<SettleKey>) -> String? {
        for id in Set(queues.keys).union(found.queues.keys).sorted() {
            guard let here = queues[id] else { return "queue \(id) should not be there" }
            guard let there = found.queues[id] else { return "queue \(id) is missing" }
            if here.name != there.name { return "queue \(id) is \(there.name), not \(here.name)" }
            if here.next != there.next {
                return "queue \(id) goes on at \(there.next), not \(here.next)"
            }
            if let text = Self.difference(id, here.entries, there.entries, optional) {
                return text
            }
        }
        return nil
    }

    private static func difference(
        _ id: UInt32,
        _ expected: [ModelEntry],
        _ found: [ModelEntry],
        _ optional: Set<SettleKey>
    ) -> String? {
        var index = 0
        for entry in expected {
            if index < found.count, found[index].sequence < entry.sequence { break }
            if index < found.count, found[index].sequence == entry.sequence {
                guard found[index] == entry else {
                    return "queue \(id), entry \(entry.sequence): found \(found[index]), "
                        + "expected \(entry)"
                }
                index += 1
            } else if !optional.contains(SettleKey(queue: id, sequence: entry.sequence)) {
                return "queue \(id): entry \(entry.sequence) is lost"
            }
        }
        guard index < found.count else { return nil }
        return "queue \(id): entry \(found[index].sequence) came back"
    }
}

/// Names an entry over all queues.
struct SettleKey: Hashable {
    let queue: UInt32
    let sequence: UInt64
}
