import Base
import LogStore
import Testing

/// What a start makes of names when damage took the records that give and end them.
@Suite struct QueueNamesTests {
    /// Segments of a few messages.
    private static var options: LogStoreOptions {
        var options = SampleStore.options
        options.preallocates = false
        return options
    }

    /// Has `build` fill a store, damages each record of `kind` in its first segment, and opens it again
    /// without checkpoints.
    private func reopened(
        damaging kind: UInt8,
        _ build: (InlineStore<PosixFileSystem>) -> Void,
        _ body: (LogStore, RecoveryReport) throws -> Void
    ) throws {
        try withTemporaryDirectory { directory in
            let files = PosixFileSystem()
            let first = try InlineStore(files, directory, Self.options)
            build(first)
            first.run()
            first.close()
            for name in try files.list(directory) where name.hasSuffix(".chk") {
                try files.remove(directory + "/" + name)
            }
            let log = FileNames.segment(1)
            let sample = try MemoryFiles(copying: directory)
            let bytes = try #require(sample[log])
            let file = try files.open(directory + "/" + log, .update)
            let records = SampleStore.records(bytes).filter { $0.kind == kind }
            #expect(!records.isEmpty)
            for record in records {
                let changed = [bytes[record.offset] ^ 1]
                try files.write(file, at: record.offset, changed.span.bytes)
            }
            files.close(file)
            let second = try InlineStore(files, directory, Self.options)
            defer { second.close() }
            try body(second.store, second.report)
        }
    }

    private func send(_ store: InlineStore<PosixFileSystem>, _ queue: QueueID, _ count: Int) {
        let body = [UInt8](repeating: 7, count: 40)
        let none: [UInt8] = []
        for _ in 0..<count {
            _ = store.store.enqueue(
                headers: none.span.bytes,
                body: body.span.bytes,
                to: queue,
                at: WallTime(milliseconds: 1)
            )
        }
        store.run()
    }

    @Test(
        "a name given again leaves the first queue, whose delete record is lost, what is in it",
        arguments: [0, 3]
    )
    func lostDeletion(unsettled: Int) throws {
        try reopened(damaging: 6) { store in
            let first = store.store.declare("/queue/a")
            send(store, first, unsettled)
            store.store.delete(first)
            store.run()
            let second = store.store.declare("/queue/a")
            send(store, second, 5)
        } _: { log, report in
            #expect(!report.damage.isEmpty)
            let isKept = unsettled > 0
            #expect(
                log.queueNames.map(\.name) == (isKept ? ["/queue/recovered.1"] : []) + ["/queue/a"]
            )
            #expect(
                log.queueNames.map { log.depth($0.id)?.messages } == (isKept ? [3] : []) + [5]
            )
        }
    }

    @Test("a deletion that is lost, of a name that is not given again, gives the queue back")
    func lostForGood() throws {
        try reopened(damaging: 6) { store in
            let first = store.store.declare("/queue/a")
            send(store, first, 3)
            store.store.delete(first)
            store.run()
            send(store, store.store.declare("/queue/b"), 5)
        } _: { log, _ in
            #expect(log.queueNames.map(\.name) == ["/queue/a", "/queue/b"])
            #expect(log.queueNames.map { log.depth($0.id)?.messages } == [3, 5])
        }
    }

    /// The second queue's name is the one that is made up for the first: with few messages it is lost as
    /// well, with many the second segment names it again.
    @Test(
        "a queue whose name is lost gets one that is made up, and leaves it to whom a record gives it",
        arguments: [
            (5, ["/queue/recovered.1", "/queue/recovered.2"]),
            (70, ["/queue/recovered.1-", "/queue/recovered.1"]),
        ]
    )
    func lostNames(count: Int, names: [String]) throws {
        try reopened(damaging: 5) { store in
            let first = store.store.declare("/queue/a")
            let second = store.store.declare("/queue/recovered.1")
            send(store, first, 3)
            send(store, second, count)
        } _: { log, _ in
            #expect(log.queueNames.map(\.name) == names)
            #expect(log.queueNames.map { log.depth($0.id)?.messages } == [3, count])
        }
    }
}
