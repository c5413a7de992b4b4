import Base
import LogStore

/// A small store in memory: three queues, sealed segments of about 4 KiB, an active one behind a
/// checkpoint.
struct SampleStore {
    let files: MemoryFiles
    /// Numbers of the segment files, rising; the last one is active.
    let segments: [UInt32]
    /// How many bytes of the active segment belong to the log.
    let activeBytes: Int

    static var options: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = 4096
        options.chunkBytes = 4096
        options.tailBytes = 8192
        options.minFreeDiskBytes = 0
        return options
    }

    /// Builds one with so many messages to queue a and half as many to b.
    ///
    /// Some are settled, one in ten goes to both, one in ten is sent in an atomic unit; `rest` more
    /// groups follow the last checkpoint.
    static func make(messages: Int = 70, rest: Int = 0, checkpoints: Bool = true) throws -> Self {
        var made: Self?
        try withTemporaryDirectory { directory in
            let store = try InlineStore(PosixFileSystem(), directory, options)
            let log = store.store
            let a = log.declare("/queue/a")
            let b = log.declare("/queue/b")
            let empty = log.declare("/queue/empty")
            log.requeue(empty, EntrySequence(1), Requeue(deliveryCount: 2))
            for index in 1...messages {
                let isUnit = index % 10 == 5
                if isUnit { log.beginUnit(bytes: 600) }
                send(log, index % 10 == 0 ? [a, b] : [a], index)
                if index % 2 == 0 { send(log, [b], index) }
                if isUnit { log.endUnit() }
                if index % 3 == 0 {
                    log.settle(a, EntrySequence(UInt64(index)), bytes: nil, reason: 1)
                }
                if index % 7 == 0 {
                    log.requeue(a, EntrySequence(UInt64(index - 2)), Requeue(deliveryCount: 3))
                }
                if index % 4 == 0 { store.run() }
            }
            log.requestCheckpoint()
            store.run()
            for index in 0..<rest {
                send(log, [a], 1000 + index)
                store.run()
            }
            store.close()
            let files = try MemoryFiles(copying: directory)
            made = try SampleStore(files)
        }
        guard var sample = made else { fatalError("the builder did not run") }
        if !checkpoints {
            for name in sample.files.names where name.hasSuffix(".chk") { sample.files[name] = nil }
            sample = try SampleStore(sample.files)
        }
        return sample
    }

    private init(_ files: MemoryFiles) throws {
        self.files = files
        segments = files.names.compactMap {
            if case .segment(let number) = FileNames.kind(of: $0) { number } else { nil }
        }
        activeBytes = try Inspector.run(files, directory: "").end.offset
    }

    private static func send(_ log: LogStore, _ queues: [QueueID], _ index: Int) {
        let headers = Array("n:\(index)\n".utf8)
        let body = Array("message number \(index)".utf8) + [UInt8](repeating: 7, count: index % 90)
        _ = log.enqueue(
            headers: headers.span.bytes,
            body: body.span.bytes,
            toAll: queues,
            at: WallTime(milliseconds: 1_700_000_000_000 + UInt64(index))
        )
    }

    func file(_ index: Int) -> String { FileNames.segment(segments[index]) }

    /// A copy whose file `name` is changed.
    func changed(_ name: String, _ change: (inout [UInt8]) -> Void) -> MemoryFiles {
        let copy = files.copy()
        var bytes = copy[name] ?? []
        change(&bytes)
        copy[name] = bytes
        return copy
    }

    /// Where the records of a segment begin, with their kinds; read by the file's own lengths.
    func records(_ name: String) -> [(offset: Int, length: Int, kind: UInt8)] {
        Self.records(files[name] ?? [])
    }

    static func records(_ bytes: [UInt8]) -> [(offset: Int, length: Int, kind: UInt8)] {
        var records: [(offset: Int, length: Int, kind: UInt8)] = []
        var at = 64
        while at + 16 <= bytes.count {
            let length = (0..<4).reduce(0) { $0 | Int(bytes[at + 4 + $1]) << ($1 * 8) }
            guard length >= 16 else { break }
            records.append((at, length, bytes[at + 8]))
            at += length
        }
        return records
    }
}

func verify(_ files: MemoryFiles) throws -> VerifierReport {
    try Verifier.run(files, directory: "")
}
