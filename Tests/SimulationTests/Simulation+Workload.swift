import Base
import TestSupport

@testable import LogStore

/// The calls that the workload makes, each noted in the model's history.
extension Simulation {
    /// Makes one call.
    func call() throws {
        guard failure == nil else { return }
        counts[.calls] += 1
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<34: enqueue()
        case 34..<42: enqueueToMany()
        case 42..<62: settleInOrder()
        case 62..<70: settleAnywhere()
        case 70..<75: requeue()
        case 75..<77: purge()
        case 77..<79: delete()
        case 79..<82: declare()
        case 82..<88: batch()
        case 88..<98: try fetch()
        default: store.requestCheckpoint()
        }
    }

    private func add(_ change: Change) {
        note("\(change)")
        history.append(.change(change))
    }

    private func pickQueue() -> UInt32? {
        history.current.orderedIDs.randomElement(using: &random)
    }

    private func drawContent() -> Content {
        if let bodyBytesMax {
            return Content(
                key: random.next(),
                headerBytes: .random(in: 0...60, using: &random),
                bodyBytes: .random(in: 0...(random.oneIn(8) ? bodyBytesMax : 400), using: &random)
            )
        }
        let bodyBytes =
            switch Int.random(in: 0..<200, using: &random) {
            case 0: Int.random(in: 5_000...40_000, using: &random)
            case 1..<15: Int.random(in: 500...4_000, using: &random)
            default: Int.random(in: 0...300, using: &random)
            }
        return Content(
            key: random.next(),
            headerBytes: .random(in: 0...60, using: &random),
            bodyBytes: bodyBytes
        )
    }

    // MARK: - Calls

    func declare() {
        guard history.current.queues.count < 8 else { return }
        counts[.declares] += 1
        // No two queues share a name, but that of a deleted one may be given again.
        let taken = Set(history.current.queues.values.map(\.name))
        let draw = random.next()
        var number = draw % 1_000
        while taken.contains("queue-\(number)") { number = (number + 1) % 1_000 }
        var name = "queue-\(number)"
        if let deletedName, draw / 1_000 % 2 == 0, !taken.contains(deletedName) {
            name = deletedName
        }
        add(.declare(store.declare(name).value, name))
    }

    func enqueue() {
        guard store.refusal == nil else { return }
        guard let queue = pickQueue() else { return declare() }
        if let change = enqueueChange([queue], drawContent()) { add(change) }
    }

    private func enqueueToMany() {
        guard store.refusal == nil else { return }
        let queues = history.current.orderedIDs.filter { _ in random.oneIn(2) }.shuffled(
            using: &random
        )
        guard !queues.isEmpty else { return }
        if let change = enqueueChange(queues, drawContent()) { add(change) }
    }

    /// Appends a message and says what that changed.
    private func enqueueChange(_ queues: [UInt32], _ content: Content) -> Change? {
        var content = content
        content.time = wall.milliseconds
        content.expires = random.oneIn(3) ? wall.milliseconds + 1 + random.next() % 100_000 : 0
        let (headers, body) = (content.headers, content.body)
        if queues.count == 1, random.oneIn(2) {
            let sequence = store.enqueue(
                headers: headers.span.bytes,
                body: body.span.bytes,
                to: QueueID(queues[0]),
                at: wall,
                expires: content.expires
            )
            return sequence.map { noted([(queues[0], $0.value)], content) }
        }
        let sequences = store.enqueue(
            headers: headers.span.bytes,
            body: body.span.bytes,
            toAll: queues.map { QueueID($0) },
            at: wall,
            expires: content.expires
        )
        return noted(zip(queues, sequences).map { ($0, $1.value) }, content)
    }

    private func noted(_ entries: [(queue: UInt32, sequence: UInt64)], _ content: Content) -> Change
    {
        counts[entries.count > 1 ? .fanOuts : .sends] += 1
        if kind == .damage {
            for (queue, sequence) in entries {
                everSent[SettleKey(queue: queue, sequence: sequence)] = content
            }
        }
        return .enqueue(entries, content)
    }

    private func settleChange(_ id: UInt32, _ entry: ModelEntry) -> Change {
        counts[.settles] += 1
        store.settle(
            QueueID(id),
            EntrySequence(entry.sequence),
            bytes: random.oneIn(4) ? nil : entry.content.byteCount,
            reason: random.oneIn(5) ? 2 : 1
        )
        return .settle(id, entry.sequence)
    }

    /// A consumer's acknowledgements: the oldest entries.
    func settleInOrder() {
        guard let id = pickQueue(), let queue = history.current.queues[id] else { return }
        let count = random.oneIn(10) ? queue.entries.count : .random(in: 1...6, using: &random)
        for entry in queue.entries.prefix(count) { add(settleChange(id, entry)) }
    }

    func settleAnywhere() {
        guard let id = pickQueue(),
            let entry = history.current.queues[id]?.entries.randomElement(using: &random)
        else { return }
        add(settleChange(id, entry))
        if random.oneIn(4) {
            // A late acknowledgement of what is settled already changes nothing.
            store.settle(QueueID(id), EntrySequence(entry.sequence), bytes: nil, reason: 1)
        }
    }

    private func requeueChange() -> Change? {
        guard let id = pickQueue(),
            let entry = history.current.queues[id]?.entries.randomElement(using: &random)
        else { return nil }
        counts[.requeues] += 1
        return requeueChange(id, entry)
    }

    private func requeueChange(_ id: UInt32, _ entry: ModelEntry) -> Change {
        let requeue = Requeue(
            deliveryCount: (entry.requeue?.deliveryCount ?? 0) + 1,
            isRejected: random.oneIn(8),
            due: random.oneIn(2) ? 0 : wall.milliseconds + random.next() % 100_000
        )
        store.requeue(QueueID(id), EntrySequence(entry.sequence), requeue)
        return .requeue(id, entry.sequence, requeue)
    }

    func requeue() {
        if let change = requeueChange() { add(change) }
    }

    func purge() {
        guard let id = pickQueue(), let queue = history.current.queues[id] else { return }
        counts[.purges] += 1
        let end = UInt64.random(in: 1...queue.next, using: &random)
        store.purge(QueueID(id), below: EntrySequence(end))
        add(.purge(id, below: end))
    }

    private func delete() {
        guard history.current.queues.count > 2, let id = pickQueue() else { return }
        counts[.deletes] += 1
        deletedName = history.current.queues[id]?.name
        store.delete(QueueID(id))
        fetches[id] = nil
        add(.delete(id))
    }

    /// Several changes that a crash keeps or loses together.
    private func batch() {
        guard store.refusal == nil, let id = pickQueue() else { return }
        let contents = (0..<Int.random(in: 0...4, using: &random)).map { _ in drawContent() }
        let settled = Array(
            (history.current.queues[id]?.entries ?? []).shuffled(using: &random)
                .prefix(.random(in: 0...3, using: &random))
        )
        store.beginUnit(bytes: contents.reduce(0) { $0 + $1.byteCount + 200 })
        var changes: [Change] = []
        for content in contents {
            let queues = history.current.orderedIDs.shuffled(using: &random)
                .prefix(.random(in: 1...3, using: &random))
            if let change = enqueueChange(Array(queues), content) { changes.append(change) }
        }
        for entry in settled { changes.append(settleChange(id, entry)) }
        if random.oneIn(4), let change = requeueUnsettled(except: settled, in: id) {
            changes.append(change)
        }
        store.endUnit()
        counts[.units] += 1
        note("batch of \(changes)")
        history.append(.batch(changes))
    }

    private func requeueUnsettled(except settled: [ModelEntry], in id: UInt32) -> Change? {
        let left = history.current.queues[id]?.entries.filter { !settled.contains($0) }
        guard let entry = left?.randomElement(using: &random) else { return nil }
        counts[.requeues] += 1
        return requeueChange(id, entry)
    }

    // MARK: - Fetching

    private func fetch() throws {
        guard let id = pickQueue(), fetches[id] == nil, let queue = history.current.queues[id]
        else { return }
        try fetch(
            id,
            from: random.oneIn(2) ? 0 : .random(in: 0...queue.next, using: &random),
            messagesMax: .random(in: 1...20, using: &random),
            bytesMax: .random(in: 1...20_000, using: &random)
        )
    }

    /// Fetches, and checks what comes at once; nil if a read job was made.
    @discardableResult
    func fetch(
        _ id: UInt32,
        from: UInt64,
        messagesMax: Int,
        bytesMax: Int
    ) throws -> (entries: [FetchedEntry], next: UInt64)? {
        counts[.fetches] += 1
        var entries: [FetchedEntry] = []
        let start = store.fetch(
            QueueID(id),
            from: EntrySequence(from),
            messagesMax: messagesMax,
            bytesMax: bytesMax
        ) { entry, headers, body in
            entries.append(
                FetchedEntry(
                    sequence: entry.sequence.value,
                    requeue: entry.requeue,
                    time: entry.time,
                    expires: entry.expires,
                    headers: headers.copied,
                    body: body.copied
                )
            )
        }
        switch start {
        case .completed(let next):
            note("fetch of queue \(id) from \(from): \(entries.count), then \(next.value)")
            try check(id, entries, from: from, next: next.value)
            return (entries, next.value)
        case .pending:
            note("fetch of queue \(id) from \(from) is pending")
            counts[.coldFetches] += 1
            fetches[id] = from
            takeJobs()
            return nil
        }
    }

    /// Checks what a read job brought.
    func check(_ result: ReadResult) throws {
        let id = result.job.queue.value
        guard let from = fetches.removeValue(forKey: id) else {
            throw SimulationFailure(text: "queue \(id) was fetched without being asked")
        }
        note("fetched of queue \(id) from \(from): \(result.items.count), then \(result.next)")
        try check(id, Self.entries(of: result), from: from, next: result.next.value)
    }

    static func entries(of result: ReadResult) -> [FetchedEntry] {
        result.items.map { item in
            FetchedEntry(
                sequence: item.sequence.value,
                requeue: item.entry.requeue,
                time: item.entry.time,
                expires: item.entry.expires,
                headers: Array(result.bytes[item.headers]),
                body: Array(result.bytes[item.body])
            )
        }
    }

    /// What was fetched must be every unsettled entry of its range, in order, byte for byte.
    private func check(
        _ id: UInt32,
        _ entries: [FetchedEntry],
        from: UInt64,
        next: UInt64
    ) throws {
        guard let queue = history.current.queues[id] else { return }
        let expected = queue.entries[queue.lowerBound(from)..<queue.lowerBound(next)]
        guard expected.map(\.sequence) == entries.map(\.sequence) else {
            throw SimulationFailure(
                text: "a fetch of queue \(id) from \(from) to \(next) brought "
                    + "\(entries.map(\.sequence)), not \(expected.map(\.sequence))"
            )
        }
        for (entry, model) in zip(entries, expected) {
            guard entry.matches(model.content), entry.requeue == model.requeue else {
                throw SimulationFailure(
                    text: "a fetch of queue \(id) brought entry \(entry.sequence) with wrong bytes"
                )
            }
        }
        let isAtEnd = queue.lowerBound(from) == queue.entries.count
        guard next > from || isAtEnd else {
            throw SimulationFailure(text: "a fetch of queue \(id) from \(from) gets nowhere")
        }
    }
}

/// One entry as a fetch brought it.
struct FetchedEntry {
    let sequence: UInt64
    let requeue: Requeue?
    let time: UInt64
    let expires: UInt64
    let headers: [UInt8]
    let body: [UInt8]

    func matches(_ content: Content) -> Bool {
        headers == content.headers && body == content.body && time == content.time
            && expires == content.expires
    }
}

extension RawSpan {
    fileprivate var copied: [UInt8] { withUnsafeBytes { Array($0) } }
}
