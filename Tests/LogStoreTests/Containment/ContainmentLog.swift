import Base

@testable import LogStore

/// A small sound log that holds something of everything, and the map of its bytes.
struct ContainmentLog: Sendable {
    static let directory = "/data"

    /// How the process ended that wrote the log.
    enum Ending: Sendable { case clean, killed }

    let files: ScratchFiles
    let pieces: [ContainmentPiece]
    /// What a start finds while nothing is damaged.
    let expected: ContainmentState
    /// The newest checkpoint's file and position.
    let checkpoint: (file: String, position: LogPosition)?
    let lastSegment: UInt32

    static func path(_ name: String) -> String { directory + "/" + name }

    static let options = {
        var options = LogStoreOptions()
        options.segmentBytes = 640
        options.chunkBytes = 1024
        options.tailBytes = 1024
        options.minFreeDiskBytes = 0
        options.preallocates = false
        options.packGainBytesMin = 1
        options.packBelowLive = 0.9
        options.packBlockBytes = 160
        return options
    }()

    /// Writes the log: a packed segment of several compressed blocks, sealed ones, an active one.
    static func make(
        _ ending: Ending,
        checkpoints: Bool = true,
        packs: Bool = true,
        keepsBothForms: Bool = false,
        segments: UInt32 = 4
    ) throws -> ContainmentLog {
        let files = ScratchFiles()
        var options = options
        options.packs = packs
        var writer = ContainmentWriter(try InlineStore(files, directory, options))
        if keepsBothForms {
            writer.pack()
        } else {
            writer.write(segments: segments, isLong: packs, ending)
        }
        writer.store.close()
        if !checkpoints {
            for path in files.paths where path.hasSuffix(".chk") { files[path] = nil }
        }
        return try ContainmentLog(files)
    }

    init(_ files: ScratchFiles) throws {
        self.files = files
        let store = try InlineStore(files.copy(), Self.directory, Self.quietOptions)
        expected = ContainmentState(reading: store)
        lastSegment = store.store.tail.segment
        var pieces: [ContainmentPiece] = []
        var newest: (file: String, position: LogPosition)?
        for path in files.paths {
            let name = String(path.dropFirst(Self.directory.count + 1))
            let bytes = files[path] ?? []
            switch FileNames.kind(of: name) {
            case .segment(let number):
                pieces += try ContainmentPiece.ofSegment(files, path, number, store.store.id)
            case .packed(let file):
                pieces += try ContainmentPiece.ofPacked(files, path, file, store.store.id)
            case .checkpoint:
                pieces.append(.init(name, 0..<bytes.count, .checkpoint, LogPosition(value: 0)))
                newest = (name, try CheckpointFormat.decodeHeader(bytes.span.bytes).position)
            case .temporary, .lock, .reserve, .quarantine, .unknown: break
            }
        }
        self.pieces = pieces
        checkpoint = newest
    }

    /// Nothing goes on behind the opening.
    static var quietOptions: LogStoreOptions {
        var options = options
        options.packs = false
        return options
    }

    /// The files that hold the store, without the lock.
    var names: [String] {
        files.paths.map { String($0.dropFirst(Self.directory.count + 1)) }.filter {
            $0 != FileNames.lock
        }
    }

    func bytes(_ name: String) -> [UInt8] { files[Self.path(name)] ?? [] }

    /// The entries of the given files' records.
    func changed(_ changes: [String: [UInt8]?]) -> ScratchFiles {
        let copy = files.copy()
        for (name, bytes) in changes { copy[Self.path(name)] = bytes }
        return copy
    }
}

/// Sends, settles and ticks until the log has what it needs.
private struct ContainmentWriter {
    let store: InlineStore<ScratchFiles>
    private let queues: [QueueID]
    private var number = 0

    init(_ store: InlineStore<ScratchFiles>) {
        self.store = store
        queues = ["/queue/a", "/queue/b", "/queue/c"].map { store.store.declare($0) }
    }

    private var log: LogStore { store.store }

    private mutating func send(_ indices: [Int]) {
        number += 1
        let headers = Array("n:\(number)\n".utf8)
        let body = Array("body \(number) ".utf8) + [UInt8](repeating: 97, count: number % 5 * 8)
        _ = log.enqueue(
            headers: headers.span.bytes,
            body: body.span.bytes,
            toAll: indices.map { queues[$0] },
            at: WallTime(milliseconds: 1_700_000_000_000 + UInt64(number))
        )
    }

    private func settle(_ index: Int, _ sequences: some Sequence<UInt64>) {
        for sequence in sequences {
            log.settle(queues[index], EntrySequence(sequence), bytes: nil, reason: 1)
        }
    }

    private func tick(_ count: Int) {
        for _ in 0..<count {
            store.now = store.now.advanced(by: .seconds(2))
            log.tick(store.instant)
            store.run()
        }
    }

    /// Ends right after the packing of the first segment.
    mutating func pack() {
        begin(isLong: true)
        for _ in 0..<10 where log.state.segments[1]?.generation == 0 {
            store.now = store.now.advanced(by: .seconds(2))
            log.tick(store.instant)
            for job in log.takeJobs() { store.perform(job) }
        }
    }

    mutating func write(segments: UInt32, isLong: Bool, _ ending: ContainmentLog.Ending) {
        begin(isLong: isLong)
        tick(6)
        while log.tail.segment < segments { turn() }
        tick(1)
        if case .killed = ending {
            log.requestCheckpoint()
            store.run()
        }
        turn()
        settle(1, [log.depth(queues[1])?.first.value ?? 0])
        log.requeue(
            queues[0],
            log.depth(queues[0])?.first ?? EntrySequence(1),
            Requeue(deliveryCount: 4)
        )
        store.run()
        log.purge(queues[2], below: EntrySequence((log.depth(queues[2])?.next.value ?? 2) - 1))
        store.run()
        send([0])
        store.run()
        if case .clean = ending {
            log.requestCheckpoint()
            store.run()
        }
    }

    /// A first segment of which enough is settled for it to be packed.
    private mutating func begin(isLong: Bool) {
        let deleted = log.declare("/queue/deleted")
        log.delete(deleted)
        // A unit does not end with its segment, so this one has blocks to be packed into.
        log.beginUnit(bytes: 100)
        for count in 0..<(isLong ? 18 : 1) { send([count % 3]) }
        log.endUnit()
        store.run()
        while log.tail.segment == 1 { turn() }
        settle(0, [1, 2, 4, 5])
        settle(1, [2, 3, 6])
        settle(2, [3])
        store.run()
        log.requestCheckpoint()
        store.run()
    }

    /// Three groups: plain messages, a fan-out, an atomic unit with a settle in it.
    private mutating func turn() {
        send([0])
        send([1])
        store.run()
        send([0, 1, 2])
        send([0])
        store.run()
        log.beginUnit(bytes: 200)
        send([2])
        if let first = log.depth(queues[2])?.first { settle(2, [first.value]) }
        send([1])
        log.endUnit()
        store.run()
    }
}
