import Base
import LogStore

/// What the store does on a message's way in and out.
enum StoreOperations {
    static let all = [
        Operation(name: "append", prepare: append),
        Operation(name: "settle", prepare: settle),
        Operation(name: "fetch-memory", prepare: fetchFromMemory),
        Operation(name: "fetch-disk", prepare: fetchFromDisk),
    ]

    /// One message appended and made durable, in groups of 100.
    private static func append(_ directory: String) throws -> Operation.Work {
        let store = try DirectStore(directory)
        try store.send(1000)
        return {
            try store.send(10_000)
            return 10_000
        }
    }

    /// One entry settled and that made durable, in groups of 100, the oldest first.
    private static func settle(_ directory: String) throws -> Operation.Work {
        let store = try DirectStore(directory)
        try store.send(11_000)
        try store.settle(1...1000)
        return {
            try store.settle(1001...11_000)
            return 10_000
        }
    }

    /// One message lent from the recent log, in runs of 100.
    private static func fetchFromMemory(_ directory: String) throws -> Operation.Work {
        let store = try DirectStore(directory)
        try store.send(10_000)
        return { try fetchAll(store, from: 1, count: 10_000) }
    }

    /// One message read from a segment's file, in runs of 100.
    private static func fetchFromDisk(_ directory: String) throws -> Operation.Work {
        var options = DirectStore.options
        options.segmentBytes = 4 << 20
        options.chunkBytes = 1 << 16
        options.tailBytes = 1 << 16
        let store = try DirectStore(directory, options)
        try store.send(12_000)
        _ = try fetchAll(store, from: 1, count: 1000)
        return { try fetchAll(store, from: 1001, count: 10_000) }
    }

    private static func fetchAll(_ store: DirectStore, from first: Int, count: Int) throws -> Int {
        var next = EntrySequence(UInt64(first))
        var taken = 0
        while taken < count {
            let before = taken
            let start = store.log.fetch(
                store.queue,
                from: next,
                messagesMax: 100,
                bytesMax: 1 << 20
            ) { _, _, body in if body.byteCount == Sample.body.count { taken += 1 } }
            if case .completed(let end) = start {
                next = end
            } else {
                store.performJobs()
                for case .fetched(let result) in store.log.takeNotices() {
                    taken += result.items.count
                    next = result.next
                }
            }
            guard taken > before else { throw WrongRun("nothing was fetched from \(next)") }
        }
        return taken
    }
}
