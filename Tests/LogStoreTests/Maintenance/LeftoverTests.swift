import Base
import TestSupport
import Testing

@testable import LogStore

/// What an earlier life of a file left behind the log's end stays out of the log, whatever damage hides.
@Suite struct LeftoverTests {
    private static let path = "/data/" + FileNames.segment(1)

    /// Entries that the last checkpoint has, and the bytes in which they stand.
    private struct Log {
        let files: SimulatedFileSystem
        let store: StoreID
        let queue: QueueID
        let next: EntrySequence
        let entries: Range<Int>
    }

    private static var options: LogStoreOptions {
        var options = ManualStore.options
        options.fsync = .never
        return options
    }

    /// A first life wrote 15 entries, of which a power cut took the fourth; a second one went on there,
    /// wrote two, and ended with a checkpoint.
    private func make() throws -> Log {
        let files = SimulatedFileSystem(seed: 1)
        let first = try ManualStore(Self.options, on: files)
        let queue = first.store.declare("/queue/a")
        let begin = first.store.tail.end.offset
        for _ in 0..<3 {
            first.send(200, to: queue)
            first.drain()
        }
        let cut = first.store.tail.end.offset
        for _ in 0..<12 {
            first.send(200, to: queue)
            first.drain()
        }
        files.kill()
        try files.flipBit(Self.path, at: cut + 20)

        let second = try ManualStore(Self.options, on: files)
        #expect(second.store.tail.end.offset == cut, "the log ends where the power cut hit it")
        // So small that the first life's fifth entry is still whole behind them.
        for _ in 0..<2 {
            second.send(10, to: queue)
            second.drain()
        }
        second.store.requestCheckpoint()
        second.drain()
        let end = second.store.tail.end.offset
        files.kill()
        return Log(
            files: files,
            store: second.store.id,
            queue: queue,
            next: EntrySequence(6),
            entries: begin..<end
        )
    }

    @Test("not taken for the log where damage reaches up to a checkpoint's position")
    func start() throws {
        let log = try make()
        for offset in stride(from: log.entries.lowerBound, to: log.entries.upperBound, by: 8) {
            try log.files.flipBit(Self.path, at: offset + 4)
        }
        let third = try ManualStore(Self.options, on: log.files)
        #expect(third.report.recordsApplied == 0)
        #expect(!third.report.damage.isEmpty)
        let depth = try #require(third.store.depth(log.queue))
        #expect(depth.next == log.next && depth.messages == 5)
    }

    @Test("not delivered for an entry whose own record is damaged")
    func read() throws {
        let log = try make()
        for offset in stride(from: log.entries.lowerBound, to: log.entries.upperBound, by: 8) {
            try log.files.flipBit(Self.path, at: offset + 4)
        }
        let worker = StoreWorker(log.files, directory: "/data", store: log.store)
        func found(length: Int) -> Int {
            let job = ReadJob(
                queue: log.queue,
                file: SegmentFile(segment: 1, generation: 0),
                seed: log.store.seed(ofSegment: 1),
                sequences: [5],
                postings: nil,
                footerOffset: 0,
                length: length,
                bytesMax: 1 << 16
            )
            return worker.read(job).items.count
        }
        #expect(found(length: 0) == 1, "the first life's fifth entry is in the file")
        #expect(found(length: log.entries.upperBound) == 0)
    }
}
