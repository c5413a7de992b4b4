import Base
import TestSupport
import Testing

@testable import LogStore

/// Packed segments in which one message is in several queues, and files that lie beside them.
@Suite struct PackedFanOutTests {
    private static let options = {
        var options = ManualStore.options
        options.packGainBytesMin = 1024
        return options
    }()

    /// 1,000 messages to `/queue/a` and `/queue/b`; of a everything is settled, of b one in 100 is not.
    private func packedStore() throws -> (ManualStore, QueueID, QueueID) {
        let store = try ManualStore(Self.options)
        let a = store.store.declare("/queue/a")
        let b = store.store.declare("/queue/b")
        let none: [UInt8] = []
        let body = [UInt8](repeating: 7, count: 80)
        for number in 1...1_000 {
            _ = store.store.enqueue(
                headers: none.span.bytes,
                body: body.span.bytes,
                toAll: [a, b],
                at: WallTime(milliseconds: 1)
            )
            if number % 20 == 0 { store.drain() }
        }
        for sequence in UInt64(1)...1_000 {
            store.store.settle(a, EntrySequence(sequence), bytes: nil, reason: 1)
            if sequence % 100 != 0 {
                store.store.settle(b, EntrySequence(sequence), bytes: nil, reason: 1)
            }
        }
        for _ in 0..<10 {
            store.tick(after: .seconds(1))
            store.drain()
        }
        #expect(try store.files.list("/data").count { $0.hasPrefix("packed-") } > 5)
        return (store, a, b)
    }

    @Test(
        "a message that only one of its queues still has: sound, and the other gets nothing back",
        arguments: [true, false]
    )
    func oneQueueLeft(hasCheckpoints: Bool) throws {
        let (store, a, b) = try packedStore()
        store.files.kill()
        if !hasCheckpoints {
            for name in try store.files.list("/data") where name.hasPrefix("checkpoint-") {
                try store.files.remove("/data/" + name)
            }
        }
        #expect(try Verifier.run(store.files, directory: "/data").damage == [])
        let again = try ManualStore(Self.options, on: store.files)
        #expect(again.report.damage == [])
        #expect(again.store.depth(b)?.messages == 10)
        #expect((again.store.depth(a)?.messages ?? 0) == 0)
        #expect(again.store.depth(b)?.bytes == 800)
        #expect(!again.store.queueNames.contains { $0.name.contains("recovered") })
    }

    @Test("a packed file of a stranger with a high number is kept, named, and changes nothing")
    func stray() throws {
        let (store, _, b) = try packedStore()
        store.files.kill()
        let name = SegmentFile(segment: 900_000_000, generation: 1).name
        let file = try store.files.open("/data/" + name, .create)
        let strange = [UInt8](repeating: 0x5A, count: 500)
        try store.files.write(file, at: 0, strange.span.bytes)
        try store.files.syncData(file)
        store.files.close(file)
        let end = store.store.tail.end
        let again = try ManualStore(Self.options, on: store.files)
        #expect(again.report.damage == [] && again.report.unknownFiles == [name])
        #expect(again.store.tail.end.segment <= end.segment + 1)
        #expect(again.store.depth(b)?.messages == 10)
        #expect(try store.files.list("/data").contains(name))
    }
}
