import Base

@testable import LogStore

/// What somebody who uses a store finds in it, and what is said of the rest.
struct ContainmentState: Sendable {
    struct Entry: Equatable, Sendable {
        let deliveryCount: UInt32
        /// Headers, then body.
        let bytes: [UInt8]
    }

    struct Queue: Sendable {
        let name: String
        let next: UInt64
        var entries: [UInt64: Entry] = [:]
    }

    var queues: [UInt32: Queue] = [:]
    /// What the start and the reading reported.
    var damage: [Damage] = []
    /// What makes no sense whatever was damaged.
    var nonsense: [String] = []
    let report: RecoveryReport

    /// Reads all unsettled messages of an opened store, as a consumer would.
    init(reading store: InlineStore<ScratchFiles>) {
        report = store.report
        damage = store.report.damage
        store.run()
        for (id, name) in store.store.queueNames {
            let next = store.store.depth(id)?.next.value ?? 0
            queues[id.value] = Queue(name: name, next: next)
            read(id, store)
        }
    }

    private mutating func read(_ id: QueueID, _ store: InlineStore<ScratchFiles>) {
        guard let end = queues[id.value]?.next else { return }
        var next = EntrySequence(1)
        var last: UInt64 = 0
        while next.value < end {
            var found: [(UInt64, Entry)] = []
            let start = store.store.fetch(id, from: next, messagesMax: 8, bytesMax: 1 << 16) {
                entry,
                headers,
                body in
                let bytes =
                    headers.array(0..<headers.byteCount) + body.array(0..<body.byteCount)
                found.append(
                    (
                        entry.sequence.value,
                        Entry(deliveryCount: entry.deliveryCount, bytes: bytes)
                    )
                )
            }
            var after = next
            if case .completed(let place) = start {
                after = place
            } else {
                let known = store.notices.count
                store.run()
                for notice in store.notices[known...] {
                    if case .damaged(let items) = notice { damage += items }
                    guard case .fetched(let result) = notice else { continue }
                    after = result.next
                    for item in result.items {
                        let bytes = result.bytes[item.headers] + result.bytes[item.body]
                        let entry = Entry(
                            deliveryCount: item.deliveryCount,
                            bytes: Array(bytes)
                        )
                        found.append((item.sequence.value, entry))
                    }
                }
            }
            for (sequence, entry) in found {
                if sequence <= last { nonsense.append("entry \(sequence) after \(last)") }
                last = sequence
                queues[id.value]?.entries[sequence] = entry
            }
            guard after > next else {
                nonsense.append("a fetch from \(next.value) on brought nothing")
                return
            }
            next = after
        }
    }

    /// What is other there than here, in the order of the queues' ids; nil: nothing.
    func difference(to other: ContainmentState) -> String? {
        for id in Set(queues.keys).union(other.queues.keys).sorted() {
            guard let here = queues[id], let there = other.queues[id] else {
                return "queue \(id) is only in one of them"
            }
            if here.name != there.name { return "queue \(id) is \(here.name) or \(there.name)" }
            if here.next != there.next {
                return "queue \(id) goes on at \(here.next) or \(there.next)"
            }
            for sequence in Set(here.entries.keys).union(there.entries.keys).sorted()
            where here.entries[sequence] != there.entries[sequence] {
                return "entry \(sequence) of queue \(id) differs"
            }
        }
        return nil
    }
}
