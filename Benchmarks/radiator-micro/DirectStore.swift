import Base
import LogStore

/// A store on real files whose jobs are performed at once, by the calling thread.
final class DirectStore {
    let log: LogStore
    let queue: QueueID
    private let files = PosixFileSystem()
    private let lock: PosixFileSystem.File
    private let worker: StoreWorker<PosixFileSystem>
    private var writer: SegmentWriter<PosixFileSystem>
    /// The first job to pack something, which is kept for the caller.
    private(set) var packing: StoreJob?
    // Empty between calls.
    private var jobs: [StoreJob] = []

    /// Little to be done beside the log: nothing prepared, no disk held.
    static var options: LogStoreOptions {
        var options = LogStoreOptions()
        options.preallocates = false
        options.minFreeDiskBytes = 0
        options.reserveBytes = 0
        return options
    }

    /// Creates a store, with one queue.
    init(_ directory: String, _ options: LogStoreOptions = DirectStore.options) throws {
        let opened = try Self.open(directory, options)
        log = opened.store
        lock = opened.lock
        worker = StoreWorker(
            files,
            directory: directory,
            store: log.id,
            bypassesCache: options.writesPastCache
        )
        writer = worker.makeWriter()
        queue = log.declare("/queue/a")
        endTurn()
    }

    static func open(
        _ directory: String,
        _ options: LogStoreOptions = DirectStore.options
    ) throws -> Recovery<PosixFileSystem>.Opened {
        try Recovery.openOnDisk(
            PosixFileSystem(),
            directory: directory,
            options: options,
            now: Sample.time.wall,
            newID: StoreID(high: 1, low: 1),
            progress: { _, _ in }
        )
    }

    /// Lets go of the directory, as a process does that is killed.
    func close() {
        writer.close()
        files.close(lock)
    }

    // MARK: Work

    /// Appends messages to the queue, 100 in a turn.
    func send(_ count: Int) throws {
        // A global does not lend spans.
        let headers = Sample.headers
        let body = Sample.body
        for number in 1...count {
            let sequence = log.enqueue(
                headers: headers.span.bytes,
                body: body.span.bytes,
                to: queue,
                at: Sample.time.wall
            )
            guard sequence != nil else { throw WrongRun("a message was not taken") }
            if number % 100 == 0 { endTurn() }
        }
        endTurn()
    }

    /// Settles entries of the queue, 100 in a turn.
    func settle(_ sequences: some Sequence<Int>) throws {
        var number = 0
        for sequence in sequences {
            let isSettled = log.settle(
                queue,
                EntrySequence(UInt64(sequence)),
                bytes: nil,
                reason: 1
            )
            guard isSettled else { throw WrongRun("entry \(sequence) was not there to settle") }
            number += 1
            if number % 100 == 0 { endTurn() }
        }
        endTurn()
    }

    /// Ends the turn and performs what it left to do, until nothing is.
    func endTurn() {
        log.submit(now: Sample.time.monotonic)
        performJobs()
    }

    /// Does what a second brings.
    func tick() {
        log.tick(Sample.time)
        performJobs()
    }

    /// Performs jobs, and those that their results ask for.
    func performJobs() {
        var taken: [StoreJob] = []
        swap(&taken, &jobs)
        while true {
            taken = log.takeJobs(reusing: consume taken)
            if taken.isEmpty { break }
            for job in taken {
                if case .pack = job, packing == nil {
                    packing = job
                } else {
                    log.complete(perform(job), now: Sample.time.monotonic)
                }
            }
        }
        jobs = taken
    }

    func perform(_ job: StoreJob) -> StoreResult {
        if case .write(let job) = job { writer.perform(job) } else { worker.perform(job) }
    }
}
