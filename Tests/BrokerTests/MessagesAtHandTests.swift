import Base
import NIOCore
import Testing

@testable import Broker

@Suite("Messages at hand")
struct MessagesAtHandTests {
    /// A broker whose store confirms late, with one subscriber of `/queue/a`.
    private func broker(prefetch: Int) throws -> (BrokerHarness, SessionID, SubscriptionID) {
        let broker = try BrokerHarness(BrokerHarness.grouped)
        let client = try broker.connect()
        let subscription = try broker.subscribe(client, "/queue/a", prefetch: prefetch)
        return (broker, client, subscription)
    }

    @Test(
        "what somebody waits for is delivered without a fetch once it is durable, more of it each time"
    )
    func noFetch() throws {
        let (broker, client, _) = try broker(prefetch: 100)
        for (count, fetches) in [(1, 0), (2, 0), (4, 0), (8, 0), (17, 1)] {
            broker.storeReports = false
            for number in 0..<count { try broker.send(client, "/queue/a", "M\(number)") }
            #expect(broker.received(client) == [])
            broker.storeReports = true
            #expect(broker.received(client) == (0..<count).map { "M\($0)" })
            #expect(broker.store.fetchCount == fetches)
        }
    }

    @Test("what was at hand and found no taker is fetched later, in its order")
    func tooMany() throws {
        let (broker, client, _) = try broker(prefetch: 3)
        for texts in [["M1"], ["M2", "M3"]] {
            broker.storeReports = false
            for text in texts { try broker.send(client, "/queue/a", text) }
            broker.storeReports = true
            #expect(broker.received(client) == texts)
        }
        try broker.ack(client, "M1")
        broker.storeReports = false
        try broker.send(client, "/queue/a", "M4", "M5", "M6")
        broker.storeReports = true
        #expect(broker.received(client) == ["M4"])
        #expect(broker.store.fetchCount == 0)
        #expect(broker.broker.dispatcher.fetchedBytes == 0)
        for text in ["M2", "M3", "M4"] { try broker.ack(client, text) }
        #expect(broker.received(client) == ["M5", "M6"])
        #expect(broker.store.fetchCount > 0)
    }

    @Test("whoever waited may be gone when the message is durable")
    func gone() throws {
        let (broker, client, subscription) = try broker(prefetch: 10)
        broker.storeReports = false
        try broker.send(client, "/queue/a", "M1", "M2")
        broker.broker.unsubscribe(client, subscription, now: broker.now)
        broker.storeReports = true
        #expect(broker.received(client) == [])
        try broker.subscribe(client, "/queue/a", prefetch: 10)
        #expect(broker.received(client) == ["M1", "M2"])
    }

    @Test("where nothing at hand could be taken, no more is kept the next time, but one")
    func notTaken() throws {
        let (broker, client, subscription) = try broker(prefetch: 100)
        let queue = try #require(broker.broker.registry.queues.first)
        for most in [2, 4] {
            broker.storeReports = false
            for _ in 0..<queue.atHandMax { try broker.send(client, "/queue/a", "M") }
            broker.storeReports = true
            broker.turn()
            #expect(queue.atHandMax == most)
        }
        broker.storeReports = false
        for _ in 0..<4 { try broker.send(client, "/queue/a", "M") }
        broker.broker.unsubscribe(client, subscription, now: broker.now)
        broker.storeReports = true
        broker.turn()
        #expect(queue.atHandMax == 1)
    }

    @Test("a message is not at hand any more once its queue may begin to drop messages")
    func reload() throws {
        let (broker, client, _) = try broker(prefetch: 100)
        broker.storeReports = false
        try broker.send(client, "/queue/a", "M1")
        #expect(broker.broker.dispatcher.messagesAtHand.memoryBytes > 0)
        var settings = BrokerSettings()
        settings.queueDefaults.overflow = .dropOldest
        try broker.broker.apply(settings, now: broker.now)
        let bytes = broker.broker.dispatcher.messagesAtHand.memoryBytes
        #expect(bytes == 0)
        try broker.send(client, "/queue/a", "M2")
        broker.storeReports = true
        #expect(broker.received(client) == ["M1", "M2"])
        #expect(broker.store.fetchCount > 0)
    }

    @Test("what came back goes before what is at hand, also if it must be read first")
    func returnedFirst() throws {
        var behaviour = BrokerHarness.grouped
        behaviour.laterFetchOneIn = 1
        let broker = try BrokerHarness(behaviour)
        let client = try broker.connect()
        try broker.subscribe(client, "/queue/a", prefetch: 2)
        try broker.send(client, "/queue/a", "M1")
        #expect(broker.received(client) == ["M1"])
        broker.storeReports = false
        try broker.send(client, "/queue/a", "M2", "M3")
        try broker.nack(client, "M1")
        #expect(broker.received(client) == [])
        broker.storeReports = true
        #expect(broker.received(client) == ["M1", "M2"])
        try broker.ack(client, "M2")
        #expect(broker.received(client) == ["M3"])
    }

    /// A piece of a buffer with memory of about 1 MiB.
    private func message(_ memory: ByteBuffer, at start: Int = 0) -> Message {
        Message(headers: ByteBuffer(), body: memory.getSlice(at: start, length: 10) ?? memory)
    }

    private func makeMemory() -> ByteBuffer { ByteBuffer(repeating: 120, count: 1 << 20) }

    @Test("memory that is kept from being used again is counted once, and bounded")
    func bound() {
        let memory = makeMemory()
        var atHand = MessagesAtHand()
        var kept = 0
        for number in 0..<100
        where atHand.keep(message(memory, at: 100 * number), EntrySequence(1), at: 0) {
            kept += 1
        }
        #expect(kept == 100)
        var bytes = atHand.memoryBytes
        #expect(bytes == memory.storageCapacity + 100 * MemoryLayout<MessagesAtHand.Item>.stride)
        var others: [ByteBuffer] = []
        repeat {
            others.append(makeMemory())
        } while atHand.keep(
            message(others[others.count - 1]),
            EntrySequence(2),
            at: 0
        )
        let items = 103 * MemoryLayout<MessagesAtHand.Item>.stride
        #expect(
            others.count == (MessagesAtHand.memoryBytesMax - items) / memory.storageCapacity
        )
        let first = atHand.next().sequence
        #expect(first == EntrySequence(1))
        for _ in 1..<100 { _ = atHand.next() }
        let isKeptNow = atHand.keep(message(makeMemory()), EntrySequence(3), at: 0)
        #expect(isKeptNow)
        for _ in 0..<others.count { _ = atHand.next() }
        bytes = atHand.memoryBytes
        #expect(bytes == 0)
    }

    @Test("of small messages in one piece of memory so many are kept as the bound allows")
    func boundOfItems() {
        let memory = makeMemory()
        var atHand = MessagesAtHand()
        var kept = 0
        while kept < 1 << 20, atHand.keep(message(memory), EntrySequence(1), at: 0) { kept += 1 }
        let room = MessagesAtHand.memoryBytesMax - memory.storageCapacity
        #expect(kept == room / MemoryLayout<MessagesAtHand.Item>.stride)
        atHand.removeAll()
        let bytes = atHand.memoryBytes
        #expect(bytes == 0)
    }

    @Test("of a large message, which a socket may get as it is, no memory is kept")
    func large() {
        var atHand = MessagesAtHand()
        let memory = makeMemory()
        var kept: [Bool] = []
        for size in [MessagesAtHand.messageBytesMax, MessagesAtHand.messageBytesMax + 1] {
            let body = memory.getSlice(at: 0, length: size) ?? memory
            let message = Message(headers: ByteBuffer(), body: body)
            kept.append(atHand.keep(message, EntrySequence(1), at: 0))
        }
        #expect(kept == [true, false])
    }

    @Test("headers that were written anew do not keep their memory")
    func otherHeaders() {
        var atHand = MessagesAtHand()
        let memory = makeMemory()
        let headers = memory.getSlice(at: 0, length: 10) ?? memory
        let isKept = atHand.keep(
            Message(headers: headers, body: ByteBuffer(string: "body")),
            EntrySequence(1),
            at: 0
        )
        #expect(!isKept)
        let bytes = atHand.memoryBytes
        #expect(bytes == 0)
    }
}
