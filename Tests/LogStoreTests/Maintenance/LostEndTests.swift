import Base
import TestSupport
import Testing

@testable import LogStore

/// The end of the log is taken away by hand after a crash: as far as anything vouches for it, the next
/// start says so.
@Suite struct LostEndTests {
    private static let options = {
        var options = LogStoreOptions()
        options.segmentBytes = 16 << 10
        options.chunkBytes = 4096
        options.minFreeDiskBytes = 0
        return options
    }()

    /// Files of a killed process with a checkpoint at the start of the active segment, and messages
    /// behind it.
    private func crashed(
        _ options: LogStoreOptions = options
    ) throws -> (files: SimulatedFileSystem, segment: UInt32) {
        let files = SimulatedFileSystem(seed: 5)
        let store = try ManualStore(options, on: files)
        let queue = store.store.declare("/queue/a")
        while store.store.tail.segment < 3 {
            _ = store.send(400, to: queue)
            store.drain()
        }
        for _ in 0..<4 {
            _ = store.send(400, to: queue)
            store.drain()
        }
        let segment = store.store.tail.segment
        files.kill()
        return (files, segment)
    }

    private func reopen(
        _ change: (SimulatedFileSystem, String) throws -> Void
    ) throws -> (report: RecoveryReport, store: ManualStore, name: String) {
        let (files, segment) = try crashed()
        let name = FileNames.segment(segment)
        try change(files, "/data/" + name)
        let store = try ManualStore(Self.options, on: files)
        #expect(store.store.tail.segment == segment + 1)
        return (store.report, store, name)
    }

    @Test("a deleted active segment is reported, and its number is not used again")
    func deleted() throws {
        let (report, _, name) = try reopen { files, path in try files.remove(path) }
        #expect(report.damage.map(\.file) == [name])
    }

    @Test("an active segment full of zeros is reported and kept")
    func zeroed() throws {
        let (report, store, name) = try reopen { files, path in
            let file = try files.open(path, .update)
            defer { files.close(file) }
            try files.writeZeros(file, try files.size(file))
        }
        #expect(Set(report.damage.map(\.file)) == [name])
        #expect(try store.files.list("/data").contains(name))
    }

    @Test(
        "an active segment that is shorter than it was prepared is reported",
        arguments: [0, 63, 64, 160, 1000, (16 << 10) - 1]
    )
    func cutOff(length: Int) throws {
        let (report, store, name) = try reopen { files, path in
            let file = try files.open(path, .update)
            defer { files.close(file) }
            try files.truncate(file, to: length)
        }
        #expect(report.damage.first?.file == name)
        // Said once by the start; the log goes on behind it, so the next one has nothing new to say.
        store.store.requestCheckpoint()
        store.drain()
        store.files.kill()
        #expect(try ManualStore(Self.options, on: store.files).report.damage == [])
    }

    @Test("a crash alone leaves nothing to report")
    func untouched() throws {
        let (files, segment) = try crashed()
        let store = try ManualStore(Self.options, on: files)
        #expect(store.report.damage == [])
        #expect(store.store.tail.segment == segment)
    }

    @Test("a checkpoint that the disk cannot give is put aside, and the one before is used")
    func unreadableCheckpoint() throws {
        let (files, segment) = try crashed()
        let names = try files.list("/data").filter { $0.hasSuffix(".chk") }.sorted()
        let newest = try #require(names.last)
        files.fail(SimulatedFault(.read, .other(5), times: 100, pathSuffix: newest))
        let store = try ManualStore(Self.options, on: files)
        #expect(store.report.unusedCheckpoints.count == 1)
        #expect(store.report.damage == [])
        #expect(store.store.tail.segment == segment)
    }

    @Test("a segment that cannot be opened is put aside and outlives checkpoints")
    func unopenedSegment() throws {
        let (files, segment) = try crashed()
        for checkpoint in try files.list("/data") where checkpoint.hasSuffix(".chk") {
            // One that is a moment late knows the first entries of the segment.
            try files.remove("/data/" + checkpoint)
        }
        let name = FileNames.segment(segment)
        let bytes = try files.contents("/data/" + name)
        files.fail(SimulatedFault(.open, .other(5), times: 100, pathSuffix: name))
        let store = try ManualStore(Self.options, on: files)
        #expect(store.report.damage.map(\.file) == [name])
        #expect(store.report.putAside == [FileNames.aside(name)])
        #expect(store.store.tail.segment == segment + 1)
        files.clearFaults()
        let queue = try #require(store.store.queueNames.first).id
        for _ in 0..<200 {
            _ = store.send(400, to: queue)
            store.drain()
        }
        for _ in 0..<4 {
            store.store.requestCheckpoint()
            store.drain()
        }
        #expect(try files.contents("/data/" + FileNames.aside(name)) == bytes)
        files.kill()
        let again = try ManualStore(Self.options, on: files)
        #expect(again.report.damage == [])
        #expect(try files.contents("/data/" + FileNames.aside(name)) == bytes)
    }

    @Test("a segment that cannot be opened and has known entries stays where it is")
    func unopenedPart() throws {
        let (files, segment) = try crashed()
        let name = FileNames.segment(segment)
        files.fail(SimulatedFault(.open, .other(5), times: 100, pathSuffix: name))
        let store = try ManualStore(Self.options, on: files)
        #expect(store.report.putAside == [])
        #expect(try files.list("/data").contains(name))

        files.clearFaults()
        let queue = try #require(store.store.queueNames.first).id
        let depth = try #require(store.store.depth(queue))
        var next: UInt64 = 1
        var served: [UInt64] = []
        while next < depth.next.value {
            if let found = store.fetch(queue, from: next) {
                served += found.sequences
                next = found.next
            }
            while let job = store.takeRead() { store.complete(store.perform(job)) }
            for fetched in store.takeFetched() {
                served += fetched.sequences
                next = fetched.next
            }
        }
        #expect(served.count == depth.messages, "opened again, it serves what is known")
    }

    @Test("a lost sector costs the messages in it, and those around it are served")
    func lostSector() throws {
        var options = Self.options
        // Or the log would leave its first file early, for a prepared one.
        options.preallocates = false
        let (files, _) = try crashed(options)
        let store = try ManualStore(options, on: files)
        let queue = try #require(store.store.queueNames.first).id
        // After the footer, the block that is read at once, then its second sector.
        files.fail(
            SimulatedFault(.read, .other(5), skip: 1, pathSuffix: FileNames.segment(1))
        )
        files.fail(
            SimulatedFault(.read, .other(5), skip: 2, times: 3, pathSuffix: FileNames.segment(1))
        )
        #expect(store.fetch(queue, messagesMax: 20) == nil)
        while case .read(var job) = store.takeRead() {
            // As after the last of the ticks at which it is tried again.
            job.triesLeft = 0
            store.complete(store.perform(.read(job)))
        }
        var served: [UInt64] = []
        var damage: [Damage] = []
        for notice in store.store.takeNotices() {
            if case .fetched(let result) = notice { served += result.items.map(\.sequence.value) }
            if case .damaged(let found) = notice { damage += found }
        }
        let lost = damage.flatMap { $0.entries.flatMap { Array($0.first..<$0.end) } }
        #expect(!lost.isEmpty && lost.count < 20)
        #expect(served.count + lost.count == 20)
        #expect(Set(served).isDisjoint(with: lost))
        #expect(damage.count <= 2, "one line for each reason, not for each entry")
    }
}
