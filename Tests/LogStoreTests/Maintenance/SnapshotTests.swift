import Base
import LogStore
import Synchronization
import Testing

@Suite struct SnapshotTests {
    @Test("a snapshot opens as the store would, and its sealed segments share their files")
    func shares() throws {
        try withTemporaryDirectory { parent in
            let files = PosixFileSystem()
            let directory = parent + "/store"
            try fill(directory, messages: 300)
            let target = parent + "/copy"
            let report = try Snapshot.run(files, directory: directory, to: target, isLive: false)
            #expect(report.linked >= 2 && report.damage == [])
            #expect(try Verifier.run(files, directory: target).isSound)
            #expect(try entries(files, target) == entries(files, directory))
            #expect(try files.linkCount(target + "/" + FileNames.segment(1)) == 2)
            let copied = parent + "/copied"
            let whole = try Snapshot.run(
                files,
                directory: directory,
                to: copied,
                isLive: false,
                links: false
            )
            #expect(whole.linked == 0 && whole.segments == report.segments)
            #expect(try entries(files, copied) == entries(files, directory))
        }
    }

    @Test("a segment file that a snapshot shares is not recycled when its segment goes")
    func recycling() throws {
        try withTemporaryDirectory { parent in
            let files = PosixFileSystem()
            let directory = parent + "/store"
            try fill(directory, messages: 300)
            let target = parent + "/copy"
            _ = try Snapshot.run(files, directory: directory, to: target, isLive: false)
            let before = try entries(files, target)
            // Everything is settled and the freed files serve for new messages.
            let store = try InlineStore(files, directory, Self.options)
            let queue = QueueID(1)
            store.store.purge(queue, below: EntrySequence(10_000))
            for _ in 1...400 {
                Self.send(store, queue)
                store.now = store.now.advanced(by: .seconds(1))
                store.store.tick(store.instant)
                store.run()
            }
            store.close()
            let names = try files.list(directory)
            #expect(!names.contains(FileNames.segment(1)))
            #expect(try entries(files, target) == before)
            #expect(try Verifier.run(files, directory: target).isSound)
        }
    }

    @Test("snapshots beside a writer that seals, drops and recycles are sound, each one")
    func besideWriter() throws {
        try withTemporaryDirectory { parent in
            let directory = parent + "/store"
            try fill(directory, messages: 1)
            let box = Box()
            let writer = WorkerThreads(name: "test-writer")
            writer.submit {
                do { try Self.churn(directory) } catch { box.fail("\(error)") }
                box.finish()
            }
            var count = 0
            while !box.isDone || count == 0 {
                count += 1
                let target = parent + "/copy-\(count)"
                _ = try Snapshot.run(
                    PosixFileSystem(),
                    directory: directory,
                    to: target,
                    isLive: true,
                    links: count % 2 == 0
                )
                let verdict = try Verifier.run(PosixFileSystem(), directory: target)
                #expect(verdict.damage == [], "snapshot \(count)")
                #expect(verdict.tornTail == nil, "snapshot \(count)")
            }
            writer.stop()
            #expect(box.failure == nil)
        }
    }

    /// What the writer's thread tells.
    private final class Box: Sendable {
        private let state = Mutex((isDone: false, failure: String?.none))

        var isDone: Bool { state.withLock { $0.isDone } }
        var failure: String? { state.withLock { $0.failure } }
        func fail(_ text: String) { state.withLock { $0.failure = text } }
        func finish() { state.withLock { $0.isDone = true } }
    }

    private static var options: LogStoreOptions {
        var options = SampleStore.options
        options.segmentBytes = 32 << 10
        options.checkpointInterval = .milliseconds(1)
        return options
    }

    private static func send(_ store: InlineStore<PosixFileSystem>, _ queue: QueueID) {
        let body = [UInt8](repeating: 5, count: 700)
        _ = store.store.enqueue(
            headers: body.span.bytes.extracting(0..<0),
            body: body.span.bytes,
            to: queue,
            at: WallTime(milliseconds: 1)
        )
    }

    private func fill(_ directory: String, messages: Int) throws {
        let store = try InlineStore(PosixFileSystem(), directory, Self.options)
        let queue = store.store.declare("/queue/a")
        for _ in 1...messages {
            Self.send(store, queue)
            store.run()
        }
        store.close()
    }

    private static func churn(_ directory: String) throws {
        let store = try InlineStore(PosixFileSystem(), directory, options)
        let queue = QueueID(1)
        for index in 1...1500 {
            send(store, queue)
            if index > 10 {
                let settled = EntrySequence(UInt64(index - 10))
                store.store.settle(queue, settled, bytes: 700, reason: 1)
            }
            store.now = store.now.advanced(by: .milliseconds(1))
            if index % 20 == 0 { store.store.tick(store.instant) }
            store.run()
        }
        store.close()
    }
}
