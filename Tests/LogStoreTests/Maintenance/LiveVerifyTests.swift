import Base
import LogStore
import Synchronization
import Testing

@Suite struct LiveVerifyTests {
    /// Whether the writer is done, and what went wrong there.
    private final class Shared: Sendable {
        let state = Mutex((isDone: false, failure: String?.none))
    }

    @Test("reading beside a writer that seals, drops and recycles segments meets no damage")
    func besideWriter() throws {
        try withTemporaryDirectory { directory in
            // The store is there before the reader starts.
            try InlineStore(PosixFileSystem(), directory, SampleStore.options).run(closing: true)
            let shared = Shared()
            let writer = WorkerThreads(name: "test-writer")
            writer.submit {
                do { try Self.write(directory) } catch {
                    shared.state.withLock { $0.failure = "\(error)" }
                }
                shared.state.withLock { $0.isDone = true }
            }
            var looks = 0
            while !shared.state.withLock({ $0.isDone }) || looks == 0 {
                let report = try Verifier.run(PosixFileSystem(), directory: directory, isLive: true)
                #expect(report.damage == [])
                _ = try Inspector.run(PosixFileSystem(), directory: directory, isLive: true)
                looks += 1
            }
            writer.stop()
            #expect(shared.state.withLock { $0.failure } == nil)
            let report = try Verifier.run(PosixFileSystem(), directory: directory)
            #expect(report.isSound && report.unsettled == 10)
        }
    }

    private static func write(_ directory: String) throws {
        var options = SampleStore.options
        options.segmentBytes = 32 << 10
        options.checkpointInterval = .milliseconds(1)
        let store = try InlineStore(PosixFileSystem(), directory, options)
        let queue = store.store.declare("/queue/a")
        let body = [UInt8](repeating: 5, count: 700)
        for index in 1...1500 {
            let sequence = store.store.enqueue(
                headers: body.span.bytes.extracting(0..<0),
                body: body.span.bytes,
                to: queue,
                at: WallTime(milliseconds: 1)
            )
            if let sequence, index > 10 {
                let settled = EntrySequence(sequence.value - 10)
                store.store.settle(queue, settled, bytes: 700, reason: 1)
            }
            store.now = store.now.advanced(by: .milliseconds(1))
            if index % 20 == 0 { store.store.tick(store.instant) }
            store.run()
        }
        store.close()
    }
}

extension InlineStore {
    fileprivate func run(closing: Bool) {
        store.requestCheckpoint()
        run()
        if closing { close() }
    }
}
