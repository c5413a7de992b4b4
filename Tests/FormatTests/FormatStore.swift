import Base
import Glibc

@testable import LogStore

/// A store whose every byte follows from its inputs: fixed seed, fixed times, jobs done at once.
struct FormatStore {
    let log: LogStore
    private let lock: PosixFileSystem.File
    private let worker: StoreWorker<PosixFileSystem>
    private var writer: SegmentWriter<PosixFileSystem>
    private let now = MonotonicTime(nanoseconds: 1)

    static let time: UInt64 = 1_700_000_000_000

    init(_ directory: String, segmentBytes: Int = 8192) throws {
        var options = LogStoreOptions()
        options.segmentBytes = segmentBytes
        options.chunkBytes = 4096
        options.tailBytes = 8192
        options.minFreeDiskBytes = 0
        options.preallocates = false
        var generator = SeededGenerator(seed: 1)
        let opened = try Recovery.open(
            PosixFileSystem(),
            directory: directory,
            options: options,
            now: WallTime(milliseconds: Self.time),
            using: &generator
        )
        log = opened.store
        lock = opened.lock
        worker = StoreWorker(PosixFileSystem(), directory: directory, store: log.id)
        writer = worker.makeWriter()
    }

    /// Ends the turn and performs jobs until none is left.
    mutating func run() {
        log.submit(now: now)
        while true {
            let jobs = log.takeJobs()
            if jobs.isEmpty { return }
            for job in jobs {
                if case .write(let job) = job {
                    log.complete(writer.perform(job), now: now)
                } else {
                    log.complete(worker.perform(job), now: now)
                }
            }
        }
    }

    mutating func close() {
        writer.close()
        PosixFileSystem().close(lock)
    }

    func send(
        _ queues: [QueueID],
        _ headers: String,
        _ body: String,
        after: UInt64,
        expires: UInt64 = 0
    ) {
        let headers = Array(headers.utf8)
        let body = Array(body.utf8)
        _ = log.enqueue(
            headers: headers.span.bytes,
            body: body.span.bytes,
            toAll: queues,
            at: WallTime(milliseconds: Self.time + after),
            expires: expires
        )
    }
}

/// A directory of its own for one test, removed at its end.
func withDirectory(_ body: (String) throws -> Void) throws {
    var generator = SystemRandomNumberGenerator()
    let path = "/tmp/radiator-format-\(generator.next())"
    let files = PosixFileSystem()
    try files.createDirectory(path)
    defer {
        for name in (try? files.list(path)) ?? [] { try? files.remove(path + "/" + name) }
        rmdir(path)
    }
    try body(path)
}
