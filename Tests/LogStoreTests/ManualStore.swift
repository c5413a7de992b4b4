import Base
import Testing
import TestSupport

@testable import LogStore

/// A store over a simulated disk whose jobs wait until the test performs them.
final class ManualStore {
    let files: SimulatedFileSystem
    let store: LogStore
    let report: RecoveryReport
    private let worker: StoreWorker<SimulatedFileSystem>
    private var writer: SegmentWriter<SimulatedFileSystem>
    private(set) var jobs: [StoreJob] = []
    /// Bytes that the jobs wrote.
    private(set) var written = Written()

    /// Bytes by what they were written for.
    struct Written {
        var log = 0
        var checkpoints = 0
        /// Zeros in files that stand ready.
        var spares = 0
        var packed = 0

        var all: Int { log + checkpoints + spares + packed }
    }
    var now = MonotonicTime(nanoseconds: 0)
    var wall = WallTime(milliseconds: 1_000_000)
    var instant: Instant { Instant(monotonic: now, wall: wall) }

    /// Small pieces, nothing prepared, and nothing to do after the opening.
    static var options: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = 16 << 10
        options.chunkBytes = 4096
        options.tailBytes = 4096
        options.minFreeDiskBytes = 0
        options.preallocates = false
        return options
    }

    init(
        _ options: LogStoreOptions = ManualStore.options,
        on files: SimulatedFileSystem = SimulatedFileSystem(seed: 1)
    ) throws {
        self.files = files
        var generator = SeededGenerator(seed: 1)
        let opened = try Recovery.open(
            files,
            directory: "/data",
            options: options,
            now: WallTime(milliseconds: 1),
            using: &generator
        )
        store = opened.store
        report = opened.report
        worker = StoreWorker(files, directory: "/data", store: store.id)
        writer = worker.makeWriter()
        drain()
        _ = store.takeNotices()
    }

    @discardableResult
    func send(_ bytes: Int = 10, to queue: QueueID) -> UInt64 {
        let body = [UInt8](repeating: 7, count: bytes)
        let none: [UInt8] = []
        let sequence = store.enqueue(
            headers: none.span.bytes,
            body: body.span.bytes,
            to: queue,
            at: WallTime(milliseconds: 1)
        )
        return sequence?.value ?? 0
    }

    /// Ends the turn; the jobs wait.
    func endTurn() {
        store.submit(now: now)
        jobs += store.takeJobs()
    }

    func tick(after interval: Interval) {
        now = now.advanced(by: interval)
        wall = WallTime(milliseconds: wall.milliseconds + interval.milliseconds)
        store.tick(instant)
        jobs += store.takeJobs()
    }

    func takeWrite() -> StoreJob? { takeJob { if case .write = $0 { true } else { false } } }

    func takeFirst() -> StoreJob? { takeJob { _ in true } }

    func takeRead() -> StoreJob? { takeJob { if case .read = $0 { true } else { false } } }

    func takeJob(_ matches: (StoreJob) -> Bool) -> StoreJob? {
        jobs.firstIndex(where: matches).map { jobs.remove(at: $0) }
    }

    func perform(_ job: StoreJob) -> StoreResult {
        let result =
            if case .write(let job) = job { writer.perform(job) } else { worker.perform(job) }
        switch result {
        case .written(let job, _): written.log += job.steps.reduce(0) { $0 + $1.byteCount }
        case .checkpointed(let job, _): written.checkpoints += job.bytes.count
        case .sparePrepared(let job, let bytes, _):
            written.spares += job.recycles == nil ? bytes : 0
        case .packed(_, .packed(let bytes, _)): written.packed += bytes
        case .read, .removed, .packed, .space, .quarantined: break
        }
        return result
    }

    func complete(_ result: StoreResult) {
        store.complete(result, now: now)
        jobs += store.takeJobs()
    }

    /// Ends the turn and performs everything.
    func drain() {
        endTurn()
        while !jobs.isEmpty { complete(perform(jobs.removeFirst())) }
    }

    /// The groups that were reported durable since the last call, and whether the store ended.
    func takeDurable() -> (groups: [UInt64], hasFailed: Bool) {
        var groups: [UInt64] = []
        var hasFailed = false
        for notice in store.takeNotices() {
            if case .durable(let group) = notice { groups.append(group) }
            if case .failed = notice { hasFailed = true }
        }
        return (groups, hasFailed)
    }

    /// Fetches what is at hand; nil if it must be read.
    func fetch(
        _ queue: QueueID,
        from: UInt64 = 1,
        messagesMax: Int = 100,
        bytesMax: Int = 1 << 20
    ) -> (sequences: [UInt64], next: UInt64)? {
        var sequences: [UInt64] = []
        let start = store.fetch(
            queue,
            from: EntrySequence(from),
            messagesMax: messagesMax,
            bytesMax: bytesMax
        ) { entry, _, _ in sequences.append(entry.sequence.value) }
        jobs += store.takeJobs()
        guard case .completed(let next) = start else { return nil }
        return (sequences, next.value)
    }

    /// What the reads that were performed brought.
    func takeFetched() -> [(sequences: [UInt64], next: UInt64)] {
        store.takeNotices().compactMap { notice in
            guard case .fetched(let result) = notice else { return nil }
            return (result.items.map(\.sequence.value), result.next.value)
        }
    }
}
