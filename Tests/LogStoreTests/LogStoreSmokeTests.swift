import Base
import LogStore
import Glibc
import Testing

/// Runs a store's jobs on the calling thread, at once.
final class InlineStore<Files: FileSystem> {
    let store: LogStore
    let report: RecoveryReport
    private let files: Files
    private let lock: Files.File
    private let worker: StoreWorker<Files>
    private var writer: SegmentWriter<Files>
    private(set) var notices: [StoreNotice] = []
    var now = MonotonicTime(nanoseconds: 1)
    var instant: Instant { Instant(monotonic: now, wall: WallTime(milliseconds: 1)) }

    init(_ files: Files, _ directory: String, _ options: LogStoreOptions) throws(LogStoreError) {
        var generator = SeededGenerator(seed: 1)
        let opened = try Recovery.open(
            files,
            directory: directory,
            options: options,
            now: WallTime(milliseconds: 1),
            using: &generator
        )
        store = opened.store
        report = opened.report
        lock = opened.lock
        self.files = files
        worker = StoreWorker(files, directory: directory, store: store.id)
        writer = worker.makeWriter()
    }

    /// Ends the turn and performs jobs until none is left.
    func run() {
        store.submit(now: now)
        while true {
            let jobs = store.takeJobs()
            if jobs.isEmpty { break }
            for job in jobs { perform(job) }
        }
        notices += store.takeNotices()
    }

    /// Performs one job; what follows from it waits.
    func perform(_ job: StoreJob) {
        if case .write(let job) = job {
            store.complete(writer.perform(job), now: now)
        } else {
            store.complete(worker.perform(job), now: now)
        }
    }

    /// The bodies from `sequence` on, fetched until the queue is at its end.
    func bodies(_ queue: QueueID, from sequence: UInt64 = 1) -> [(UInt64, [UInt8])] {
        var found: [(UInt64, [UInt8])] = []
        var next = EntrySequence(sequence)
        while next < store.depth(queue)?.next ?? next {
            let start = store.fetch(queue, from: next, messagesMax: 64, bytesMax: 1 << 16) {
                entry,
                _,
                body in
                found.append((entry.sequence.value, body.array(0..<body.byteCount)))
            }
            switch start {
            case .completed(let after): next = after
            case .pending:
                notices = []
                run()
                for case .fetched(let result) in notices {
                    for item in result.items {
                        found.append((item.sequence.value, Array(result.bytes[item.body])))
                    }
                    next = result.next
                }
            }
        }
        return found
    }

    func close() {
        files.close(lock)
        writer.close()
    }
}

/// A directory of its own for one test, removed at its end.
func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    var generator = SystemRandomNumberGenerator()
    let path = "/tmp/radiator-test-\(generator.next())"
    try PosixFileSystem().createDirectory(path)
    defer {
        let files = PosixFileSystem()
        for name in (try? files.list(path)) ?? [] { try? files.remove(path + "/" + name) }
        rmdir(path)
    }
    try body(path)
}

@Suite struct LogStoreSmokeTests {
    private var options: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = 64 << 10
        options.tailBytes = 64 << 10
        options.chunkBytes = 16 << 10
        options.minFreeDiskBytes = 0
        return options
    }

    @Test(
        "what was appended is read back in order, from the tail and from disk, before and after a restart"
    )
    func readsBack() throws {
        try withTemporaryDirectory { directory in
            let store = try InlineStore(PosixFileSystem(), directory, options)
            let queue = store.store.declare("/queue/a")
            for index in 1...2000 {
                let body = Array("body \(index)".utf8) + [UInt8](repeating: 7, count: index % 300)
                let header = Array("n:\(index)\n".utf8)
                let sequence = store.store.enqueue(
                    headers: header.span.bytes,
                    body: body.span.bytes,
                    to: queue,
                    at: WallTime(milliseconds: 5)
                )
                #expect(sequence?.value == UInt64(index))
                if index % 50 == 0 { store.run() }
            }
            store.run()
            #expect(store.store.pendingGroup == nil)
            for index in 1...2000 where index % 3 == 0 {
                store.store.settle(queue, EntrySequence(UInt64(index)), bytes: nil, reason: 1)
            }
            store.run()
            func check(_ store: InlineStore<PosixFileSystem>) {
                let bodies = store.bodies(queue)
                #expect(bodies.map(\.0) == (1...2000).filter { $0 % 3 != 0 })
                for (sequence, body) in bodies {
                    #expect(body.starts(with: Array("body \(sequence)".utf8)))
                }
            }
            check(store)
            store.close()
            let again = try InlineStore(PosixFileSystem(), directory, options)
            #expect(again.report.damage == [])
            #expect(again.report.tornBytes == 0)
            #expect(again.report.messages == 2000 - 666)
            again.run()
            check(again)
            // Everything settled: the disk comes back.
            again.store.purge(queue, below: EntrySequence(3000))
            for _ in 0..<4 {
                again.now = again.now.advanced(by: .seconds(2))
                again.store.tick(again.instant)
                again.run()
            }
            let names = try PosixFileSystem().list(directory).filter { $0.hasPrefix("segment") }
            #expect(names.count == 1, "\(names)")
            again.close()
        }
    }
}
