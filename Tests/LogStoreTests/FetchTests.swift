import Base
import Testing
import TestSupport

@testable import LogStore

/// Reading entries from the tail, from disk, and from what is on its way there.
@Suite struct FetchTests {
    @Test("a fetch from the tail ends at its number of messages")
    func byCount() throws {
        let (log, queue) = try filled(10)
        let fetched = try #require(log.fetch(queue, from: 3, messagesMax: 4))
        #expect(fetched == ([3, 4, 5, 6], 7))
    }

    @Test("a fetch ends with the message that passes its bytes", arguments: [1, 10, 11, 20])
    func byBytes(bytesMax: Int) throws {
        let (log, queue) = try filled(10)
        let fetched = try #require(log.fetch(queue, bytesMax: bytesMax))
        #expect(fetched.sequences.count == (bytesMax + 9) / 10)
    }

    @Test("settled entries are passed over, and the next fetch begins behind them")
    func holes() throws {
        let (log, queue) = try filled(8)
        for sequence in [1, 4, 5, 8] as [UInt64] {
            log.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
        }
        #expect(try #require(log.fetch(queue, messagesMax: 3)) == ([2, 3, 6], 7))
        #expect(try #require(log.fetch(queue, from: 7)) == ([7], 9))
        #expect(try #require(log.fetch(queue, from: 8)) == ([], 9))
    }

    @Test("an unknown queue and an empty one have nothing")
    func nothing() throws {
        let (log, _) = try filled(0)
        #expect(try #require(log.fetch(QueueID(99), from: 5)) == ([], 5))
        let empty = log.store.declare("empty")
        #expect(try #require(log.fetch(empty)) == ([], 1))
    }

    @Test("entries that left the tail are read from disk, within the same limits")
    func cold() throws {
        let (log, queue) = try filled(40, bytes: 1_000)
        #expect(log.fetch(queue, from: 2, messagesMax: 3) == nil)
        #expect(log.fetch(queue, from: 2, bytesMax: 1_500) == nil)
        log.drain()
        let fetched = log.takeFetched()
        try #require(fetched.count == 2)
        #expect(fetched[0] == ([2, 3, 4], 5))
        #expect(fetched[1] == ([2, 3], 4))
    }

    @Test("what is settled while a read runs is left out of its result, and is no damage")
    func settledMeanwhile() throws {
        let (log, queue) = try filled(40, bytes: 1_000)
        #expect(log.fetch(queue, messagesMax: 3) == nil)
        let result = log.perform(try #require(log.takeRead()))
        log.store.settle(queue, EntrySequence(2), bytes: nil, reason: 1)
        log.complete(result)
        let fetched = log.takeFetched()
        try #require(fetched.count == 1)
        #expect(fetched[0] == ([1, 3], 4))
    }

    @Test("a read that needs a footer waits until the footer is written")
    func behindTheSeal() throws {
        var options = ManualStore.options
        options.postingCacheBytes = 1
        let log = try ManualStore(options)
        let (first, second) = (log.store.declare("a"), log.store.declare("b"))
        for _ in 0..<4 {
            log.send(2_000, to: first)
            log.send(2_000, to: second)
        }
        #expect(log.store.tail.segment == 2)
        // One of the two lists was let go; its footer is only in memory.
        let pending = [first, second].filter { log.fetch($0) == nil }
        try #require(pending.count == 1)
        #expect(log.takeRead() == nil)
        log.endTurn()
        log.complete(log.perform(try #require(log.takeWrite())))
        log.complete(log.perform(try #require(log.takeRead())))
        let fetched = log.takeFetched()
        try #require(fetched.count == 1)
        #expect(fetched[0].sequences.first == 1)
        #expect(fetched[0].sequences.count >= 3)
    }

    @Test("a delivery count comes with the entry, from the tail and from disk")
    func deliveryCounts() throws {
        let (log, queue) = try filled(40, bytes: 1_000)
        log.store.requeue(queue, EntrySequence(1), Requeue(deliveryCount: 3))
        #expect(log.fetch(queue, messagesMax: 2) == nil)
        log.drain()
        for case .fetched(let result) in log.store.takeNotices() {
            #expect(result.items.map(\.deliveryCount) == [3, 0])
        }
    }

    private func filled(_ count: Int, bytes: Int = 10) throws -> (ManualStore, QueueID) {
        let log = try ManualStore()
        let queue = log.store.declare("a")
        for _ in 0..<count { log.send(bytes, to: queue) }
        log.drain()
        _ = log.store.takeNotices()
        return (log, queue)
    }
}
