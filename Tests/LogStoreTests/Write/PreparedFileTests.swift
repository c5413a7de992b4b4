import Base
import TestSupport
import Testing

@testable import LogStore

/// The log goes on in a file that has its blocks, as soon as there is one and something to write.
@Suite struct PreparedFileTests {
    private static let options = {
        var options = ManualStore.options
        options.segmentBytes = 64 << 10
        options.preallocates = true
        return options
    }()

    /// A store whose first file took more than a block before the prepared one was ready.
    private func started() throws -> (store: ManualStore, queue: QueueID) {
        let store = try ManualStore(Self.options)
        return (store, store.store.declare("/queue/a"))
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

    @Test("without a prepared file the log stays where it is")
    func noneReady() throws {
        var options = Self.options
        options.preallocates = false
        let store = try ManualStore(options)
        let queue = store.store.declare("/queue/a")
        store.send(8192, to: queue)
        store.drain()
        #expect(store.store.tail.segment == 1)
    }

    @Test("a start goes on in the prepared file, or leaves one that is not")
    func restart() throws {
        let (store, queue) = try started()
        store.send(8192, to: queue)
        store.drain()
        store.files.kill()
        let second = try ManualStore(Self.options, on: store.files)
        #expect(second.store.isActivePrepared)
        second.send(8192, to: queue)
        second.drain()
        #expect(second.store.tail.segment == 2)

        var options = Self.options
        options.preallocates = false
        let bare = try ManualStore(options)
        let other = bare.store.declare("/queue/a")
        bare.send(8192, to: other)
        bare.drain()
        bare.files.kill()
        let third = try ManualStore(Self.options, on: bare.files)
        #expect(third.store.tail.segment == 2, "left as soon as a prepared one was ready")
        #expect(third.store.isActivePrepared)
    }
}
