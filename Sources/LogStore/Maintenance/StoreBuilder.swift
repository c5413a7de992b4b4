package import Base

/// Writes a new store, message by message, on the calling thread.
///
/// The store's own engine does the work: records, footers, seals and checkpoints come out as a daemon
/// would write them. Confinement: whoever made it. All calls block.
package final class StoreBuilder<Files: FileSystem> {
    /// Appended bytes that are written and synced in one go.
    private static var groupBytes: Int { 4 << 20 }

    private let files: Files
    private let lock: Files.File
    private let log: LogStore
    private let worker: StoreWorker<Files>
    private var writer: SegmentWriter<Files>
    private let now = MonotonicTime(nanoseconds: 0)
    private var pendingBytes = 0
    private var ids: [String: QueueID] = [:]

    /// Creates the store in `directory`, which must hold none; `generator` gives it its id.
    package init(
        _ files: Files,
        directory: String,
        segmentBytes: Int = LogStoreOptions().segmentBytes,
        now: WallTime,
        using generator: inout some RandomNumberGenerator
    ) throws(LogStoreError) {
        var options = LogStoreOptions()
        options.segmentBytes = segmentBytes
        options.tailBytes = 2 << 20
        options.minFreeDiskBytes = 0
        options.preallocates = false
        options.packs = false
        let opened = try Recovery.open(
            files,
            directory: directory,
            options: options,
            now: now,
            using: &generator
        )
        self.files = files
        lock = opened.lock
        log = opened.store
        worker = StoreWorker(files, directory: directory, store: log.id)
        writer = worker.makeWriter()
        guard opened.report.isNew else {
            close()
            throw .unusable(file: directory, reason: "a store is there already")
        }
    }

    /// Lets go of the files; what was written stays, unfinished if `finish` was not called.
    package func close() {
        writer.close()
        files.close(lock)
    }

    /// The queue of that name; created with `next` as its next sequence if it is new.
    package func queue(_ name: String, next: EntrySequence) -> QueueID {
        if let id = ids[name] { return id }
        let id = log.declare(name, nextSequence: next)
        ids[name] = id
        return id
    }

    /// Appends one message with an entry in each of several queues, and how each came back.
    ///
    /// `expires` in ms since 1970, 0 = never.
    package func append(
        headers: RawSpan,
        body: RawSpan,
        to entries: [(queue: QueueID, requeue: Requeue?)],
        at time: WallTime,
        expires: UInt64
    ) throws(LogStoreError) {
        let sequences = log.enqueue(
            headers: headers,
            body: body,
            toAll: entries.map(\.queue),
            at: time,
            expires: expires
        )
        invariant(sequences.count == entries.count, "every queue was declared here")
        for (entry, sequence) in zip(entries, sequences) {
            if let requeue = entry.requeue { log.requeue(entry.queue, sequence, requeue) }
        }
        pendingBytes += headers.byteCount + body.byteCount + 64 * entries.count
        if pendingBytes >= Self.groupBytes { try performJobs() }
    }

    /// Saves a checkpoint, so that everything is durable, and closes the store.
    ///
    /// Call once, instead of `close`.
    package func finish() throws(LogStoreError) {
        defer { close() }
        log.requestCheckpoint()
        try performJobs()
        invariant(log.isIdle, "a store that has nothing to do left")
    }

    private func performJobs() throws(LogStoreError) {
        pendingBytes = 0
        log.submit(now: now)
        while true {
            let jobs = log.takeJobs()
            if jobs.isEmpty { break }
            for job in jobs {
                let result =
                    if case .write(let job) = job { writer.perform(job) } else {
                        worker.perform(job)
                    }
                if let error = result.error { throw .file(error) }
                log.complete(result, now: now)
            }
        }
        _ = log.takeNotices()
    }
}

extension StoreResult {
    /// What the file system refused, if anything.
    fileprivate var error: FileError? {
        switch self {
        case .written(_, let error), .checkpointed(_, let error), .sparePrepared(_, _, let error),
            .removed(_, let error):
            error
        case .read, .space, .packed, .quarantined: nil
        }
    }
}

extension LogStore {
    /// Creates a queue whose first entry gets the given sequence.
    fileprivate func declare(_ name: String, nextSequence: EntrySequence) -> QueueID {
        let id = QueueID(state.nextQueueID)
        prepare(QueueRecord.length(nameBytes: name.utf8.count))
        appendName(of: state.name(id, name, nextSequence: nextSequence.value))
        return id
    }
}

extension StoreBuilder where Files == PosixFileSystem {
    /// A builder on the operating system's files; compiled for them in this module.
    package static func onDisk(
        _ directory: String,
        now: WallTime,
        using generator: inout some RandomNumberGenerator
    ) throws(LogStoreError) -> StoreBuilder<PosixFileSystem> {
        try StoreBuilder(PosixFileSystem(), directory: directory, now: now, using: &generator)
    }
}
