import Base
import TestSupport
import Testing

@testable import LogStore

/// `retain`: settled messages stay for replay, and then their disk comes back.
@Suite struct RetentionTests {
    private static let options = {
        var options = ManualStore.options
        options.packGainBytesMin = 1024
        options.retain = .seconds(100)
        return options
    }()

    /// 1,000 messages in several segments, of which all but the given ones are settled.
    private func consumedStore(
        _ options: LogStoreOptions = Self.options,
        except kept: Set<UInt64> = [],
        on files: SimulatedFileSystem = SimulatedFileSystem(seed: 1)
    ) throws -> ManualStore {
        let store = try ManualStore(options, on: files)
        let queue = store.store.declare("/queue/a")
        for number in 1...1_000 {
            store.send(80, to: queue)
            if number % 20 == 0 { store.drain() }
        }
        for sequence in UInt64(1)...1_000 where !kept.contains(sequence) {
            store.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
        }
        pass(1, store)
        return store
    }

    /// Lets so many seconds pass, with the ticks that come in them.
    private func pass(_ seconds: Int, _ store: ManualStore) {
        for _ in 0..<seconds {
            store.tick(after: .seconds(1))
            store.drain()
        }
    }

    private func segments(_ store: ManualStore) throws -> Int {
        try store.files.list("/data").count { $0.hasPrefix("segment-") }
    }

    private func settled(_ store: ManualStore) throws -> [UInt64] {
        store.files.kill()
        return try entries(store.files, "/data", .settled).map(\.sequence)
    }

    @Test("settled messages can be read for as long as retain says")
    func stay() throws {
        let store = try consumedStore()
        let all = try segments(store)
        #expect(all > 5)
        pass(90, store)
        #expect(try segments(store) == all)
        #expect(try settled(store) == Array(1...1_000))
    }

    @Test("then their segments go")
    func go() throws {
        let store = try consumedStore()
        pass(105, store)
        #expect(try segments(store) == 1)
    }

    @Test("without retain they go at once")
    func withoutRetain() throws {
        var options = Self.options
        options.retain = .zero
        let store = try consumedStore(options)
        pass(5, store)
        #expect(try segments(store) == 1)
    }

    @Test("a segment is not packed before what is settled in it may go")
    func packing() throws {
        let store = try consumedStore(except: [1, 500])
        pass(90, store)
        let files = try store.files.list("/data")
        #expect(!files.contains { $0.hasPrefix("packed-") })
        pass(20, store)
        #expect(try segments(store) == 1)
        #expect(try store.files.list("/data").count { $0.hasPrefix("packed-") } == 2)
        store.files.kill()
        #expect(try entries(store.files, "/data").map(\.sequence) == [1, 500])
    }

    @Test("a settle makes the other settled messages of its segment stay longer")
    func trickle() throws {
        let store = try consumedStore(except: [1])
        let queue = try #require(store.store.queueNames.first?.id)
        pass(90, store)
        store.store.settle(queue, EntrySequence(1), bytes: nil, reason: 1)
        pass(50, store)
        let found = try settled(store)
        #expect(found.first == 1 && found.count > 10 && found.count < 300)
    }

    @Test("the time goes on over a restart")
    func restart() throws {
        let store = try consumedStore()
        let all = try segments(store)
        pass(60, store)
        store.store.requestCheckpoint()
        store.drain()
        store.files.kill()
        let again = try ManualStore(Self.options, on: store.files)
        again.wall = store.wall
        pass(30, again)
        #expect(try segments(again) == all)
        pass(15, again)
        #expect(try segments(again) == 1)
    }

    @Test("a clock that goes back a year keeps nothing for a year")
    func clockGoesBack() throws {
        let store = try consumedStore()
        pass(50, store)
        store.wall = WallTime(milliseconds: 1_000)
        pass(90, store)
        #expect(try segments(store) > 5)
        pass(15, store)
        #expect(try segments(store) == 1)
    }

    @Test(
        "when disk is short the oldest settled messages are given up, one segment after the other"
    )
    func diskIsShort() throws {
        let files = SimulatedFileSystem(seed: 1)
        var options = Self.options
        options.minFreeDiskBytes = 64 << 10
        let store = try consumedStore(options, on: files)
        let all = try segments(store)
        files.capacityBytes = files.usedBytes + (56 << 10)
        pass(4, store)
        let left = try segments(store)
        #expect(left < all && left > 2)
        var given = 0
        for case .retentionShortened(let count) in store.store.takeNotices() { given += count }
        #expect(given > 0 && given <= all - left + 2)
        #expect(try settled(store).last == 1_000)
    }

    @Test("inspect says what is kept for replay")
    func inspected() throws {
        let store = try consumedStore()
        pass(10, store)
        store.store.requestCheckpoint()
        store.drain()
        store.files.kill()
        let report = try Inspector.run(store.files, directory: "/data")
        let kept = report.segments.filter {
            if case .retained(let since) = $0.keep { since != nil } else { false }
        }
        #expect(kept.count == report.segments.count - 1)
        #expect(report.retainedBytes > 80_000)
        #expect(try Verifier.run(store.files, directory: "/data").isSound)
    }
}
