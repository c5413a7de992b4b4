import Base
import TestSupport
import Testing

@testable import LogStore

/// The log goes on in a file that has its blocks, as soon as there is one and something to write.
@Suite struct PreparedFileTests {
    private static func options(preallocates: Bool = true) -> LogStoreOptions {
        var options = ManualStore.options
        options.segmentBytes = 64 << 10
        options.preallocates = preallocates
        return options
    }

    /// A new store with a queue and nothing in it.
    private func started(preallocates: Bool = true) throws -> (store: ManualStore, queue: QueueID) {
        let store = try ManualStore(Self.options(preallocates: preallocates))
        return (store, store.store.declare("/queue/a"))
    }

    /// The same with two blocks in its log.
    private func filled(preallocates: Bool) throws -> (store: ManualStore, queue: QueueID) {
        let (store, queue) = try started(preallocates: preallocates)
        store.send(8192, to: queue)
        store.drain()
        return (store, queue)
    }

    @Test("a new store leaves its first file for a prepared one when a block stands in it")
    func leavesFirst() throws {
        let (store, queue) = try started()
        #expect(!store.store.isActivePrepared)
        store.send(100, to: queue)
        store.drain()
        #expect(store.store.tail.segment == 1, "too little to leave it for")
        store.send(4096, to: queue)
        store.drain()
        #expect(store.store.tail.segment == 2)
        #expect(store.store.isActivePrepared)
        for _ in 0..<5 {
            store.send(4096, to: queue)
            store.drain()
        }
        #expect(store.store.tail.segment == 2, "and stays in that one until it is full")
        #expect(store.store.depth(queue)?.messages == 7)
    }

    @Test("the next file is filled with zeros when the active one is half full")
    func nextInTime() throws {
        let (store, queue) = try filled(preallocates: true)
        #expect(store.store.spares.isEmpty)
        while store.store.tail.end.offset < Self.options().segmentBytes / 2 {
            #expect(store.store.spares.isEmpty)
            store.send(1024, to: queue)
            store.drain()
        }
        #expect(store.store.spares.count == 1)
    }

    @Test("a disk without room for the next file refuses sends when the active one is half full")
    func noRoomForNext() throws {
        let files = SimulatedFileSystem(seed: 1)
        files.capacityBytes = 1 << 30
        var options = Self.options()
        options.minFreeDiskBytes = 64 << 10
        let store = try ManualStore(options, on: files)
        let queue = store.store.declare("/queue/a")
        store.send(8192, to: queue)
        store.drain()
        // Others leave room for half a segment.
        files.capacityBytes =
            (1 << 30) - (try files.freeBytes("/data")) + options.minFreeDiskBytes
            + options.segmentBytes / 2
        for _ in 0..<3 {
            store.tick(after: .seconds(1))
            store.drain()
        }
        #expect(store.store.isActivePrepared && store.store.spares.isEmpty)
        let wasRefused = store.store.takeNotices().contains { notice in
            if case .sendsRefused(_?) = notice { true } else { false }
        }
        #expect(!wasRefused, "not for a moment, while nothing needs the next file")
        while store.store.tail.end.offset < Self.options().segmentBytes / 2 {
            #expect(store.store.refusal == nil)
            store.send(1024, to: queue)
            store.drain()
        }
        #expect(store.store.refusal != nil)
        files.capacityBytes = nil
        store.tick(after: .seconds(1))
        store.drain()
        #expect(store.store.refusal == nil, "and takes them again when there is room")
    }

    @Test("a short file does not serve again, nor one of a smaller segment_size as a prepared one")
    func short() throws {
        let (store, queue) = try filled(preallocates: true)
        let first = FileNames.segment(1)
        #expect(try store.files.list("/data").contains(first))
        for sequence in 1...UInt64(store.store.depth(queue)?.messages ?? 0) {
            store.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
        }
        for _ in 0..<4 {
            store.store.requestCheckpoint()
            store.drain()
            store.tick(after: .seconds(60))
            store.drain()
        }
        #expect(try !store.files.list("/data").contains(first))
        #expect(store.store.spares.isEmpty)
        store.files.kill()
        var options = Self.options()
        options.segmentBytes *= 2
        let larger = try ManualStore(options, on: store.files)
        #expect(!larger.store.isActivePrepared)
    }

    @Test("without a prepared file the log stays where it is")
    func noneReady() throws {
        let (store, _) = try filled(preallocates: false)
        #expect(store.store.tail.segment == 1)
    }

    @Test("a start goes on in the prepared file, or leaves one that is not")
    func restart() throws {
        let (store, queue) = try filled(preallocates: true)
        store.files.kill()
        let second = try ManualStore(Self.options(), on: store.files)
        #expect(second.store.isActivePrepared)
        second.send(8192, to: queue)
        second.drain()
        #expect(second.store.tail.segment == 2)

        let (bare, _) = try filled(preallocates: false)
        bare.files.kill()
        let third = try ManualStore(Self.options(), on: bare.files)
        #expect(third.store.tail.segment == 2, "left as soon as a prepared one was ready")
        #expect(third.store.isActivePrepared)
    }
}
