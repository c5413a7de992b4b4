import Base
import TestSupport
import Testing

@testable import LogStore

/// Which jobs may be written and synced by one call.
@Suite struct StagedWriteTests {
    private static let bytesMax = 8192

    /// A store on a simulated disk, with its first segment open, and what writes it.
    private static func open() throws -> (LogStore, SegmentWriter<SimulatedFileSystem>, QueueID) {
        var options = LogStoreOptions()
        options.minFreeDiskBytes = 0
        options.preallocates = false
        let files = SimulatedFileSystem(seed: 1)
        var generator = SeededGenerator(seed: 1)
        let store = try Recovery.open(
            files,
            directory: "/data",
            options: options,
            now: WallTime(milliseconds: 1),
            using: &generator
        ).store
        let worker = StoreWorker(files, directory: "/data", store: store.id, bypassesCache: true)
        var writer = worker.makeWriter()
        let queue = store.declare("q")
        while let job = write(store) {
            store.complete(writer.perform(job), now: now)
        }
        return (store, writer, queue)
    }

    private static let now = MonotonicTime(nanoseconds: 1)

    /// Ends a turn; the write that follows from it.
    private static func write(_ store: LogStore) -> WriteJob? {
        store.submit(now: now)
        for case .write(let job) in store.takeJobs() { return job }
        return nil
    }

    private static func send(_ byteCount: Int, to queue: QueueID, of store: LogStore) -> WriteJob? {
        let (headers, body) = ([UInt8](), [UInt8](repeating: 7, count: byteCount))
        _ = store.enqueue(
            headers: headers.span.bytes,
            body: body.span.bytes,
            to: queue,
            at: WallTime(milliseconds: 1)
        )
        return write(store)
    }

    @Test("a small group is one write, and stays one after it was not written")
    func small() throws {
        let (store, opened, queue) = try Self.open()
        var writer = opened
        let job = try #require(Self.send(100, to: queue, of: store))
        for _ in 0..<2 {
            let result = writer.stage(job, bytesMax: Self.bytesMax)
            let staged = try #require(result)
            #expect(staged.offset % BlockBuffer.blockBytes == 0)
            #expect(staged.blocks.bytes.count % BlockBuffer.blockBytes == 0)
            let finished = writer.finish(job, .refused(isLasting: false))
            if finished != nil { Issue.record("a refused job has a result") }
        }
        guard case .written(_, nil) = writer.perform(job) else {
            Issue.record("the job could not be performed after all")
            return
        }
    }

    @Test("what is left of a job stands behind steps that nobody synced: it is no single write")
    func rest() throws {
        let (store, opened, queue) = try Self.open()
        var writer = opened
        let job = try #require(Self.send(100, to: queue, of: store))
        let staged = writer.stage(job.rest(from: 0, canRepeat: true), bytesMax: Self.bytesMax)
        #expect(staged == nil)
    }

    @Test("a group that is too large, and a sync alone, are none either")
    func others() throws {
        let (store, opened, queue) = try Self.open()
        var writer = opened
        let job = try #require(Self.send(Self.bytesMax, to: queue, of: store))
        let sync = job.rest(from: job.steps.count, canRepeat: false)
        for other in [job, sync] {
            let staged = writer.stage(other, bytesMax: Self.bytesMax)
            #expect(staged == nil)
        }
    }
}
