import Base
import DequeModule
import Testing

@testable import Broker

/// What queues keep in memory when they hold nothing.
@Suite struct QueueMemoryTests {
    private func capacity(_ queue: Queue) -> Int { queue.ready.capacity }

    /// How much memory for messages goes to the next queue that gets some.
    private func spareCapacity(_ harness: BrokerHarness) -> Int {
        harness.broker.dispatcher.smallRun.capacity
    }

    @Test("queues that were consumed in turn keep nothing, however many had something at once")
    func inTurn() throws {
        let harness = try BrokerHarness()
        let producer = try harness.connect()
        let consumer = try harness.connect()
        let queues = 0..<200
        for queue in queues {
            for message in 0..<7 {
                try harness.send(producer, "/queue/\(queue)", "\(queue)-\(message)")
            }
        }
        for queue in queues {
            try harness.subscribe(consumer, "/queue/\(queue)", .individual, prefetch: 1)
        }
        let ready = harness.broker.registry.queues.map { $0.ready.count }
        #expect(ready == Array(repeating: 6, count: queues.count))
        for message in 0..<7 {
            for queue in queues { try harness.ack(consumer, "\(queue)-\(message)") }
        }
        #expect(harness.broker.registry.queues.allSatisfy { capacity($0) == 0 })
    }

    @Test("nor those to which hundreds came back at once, nor does the next queue get their memory")
    func returned() throws {
        let harness = try BrokerHarness()
        let producer = try harness.connect()
        let consumer = try harness.connect()
        let queues = 0..<10
        for queue in queues {
            let greedy = try harness.connect()
            try harness.subscribe(greedy, "/queue/\(queue)", .individual, prefetch: 2000)
            for message in 0..<500 {
                try harness.send(producer, "/queue/\(queue)", "\(queue)-\(message)")
            }
            try harness.subscribe(consumer, "/queue/\(queue)", .individual, prefetch: 1)
            harness.disconnect(greedy)
        }
        for message in 0..<500 {
            for queue in queues { try harness.ack(consumer, "\(queue)-\(message)") }
        }
        #expect(harness.broker.registry.queues.allSatisfy { capacity($0) == 0 })
        #expect(spareCapacity(harness) <= 2 * Queue.smallRunMax)
    }

    @Test("a delivery in flight takes no more than 64 bytes")
    func row() {
        #expect(MemoryLayout<InFlight>.stride <= 64)
    }

    @Test("memory of long runs stays with queues that have long runs")
    func long() throws {
        let harness = try BrokerHarness()
        let producer = try harness.connect()
        let consumer = try harness.connect()
        // Its runs double with each fetch.
        for message in 0..<1_000 { try harness.send(producer, "/queue/long", "long-\(message)") }
        try harness.subscribe(consumer, "/queue/long", .individual, prefetch: 1)
        for message in 0..<1_000 { try harness.ack(consumer, "long-\(message)") }
        let long = try #require(harness.broker.registry.queues.first { $0.name == "/queue/long" })
        #expect(long.fetchMessages > Queue.smallRunMax)

        try harness.subscribe(consumer, "/queue/short", .individual, prefetch: 1)
        for message in 0..<3 {
            try harness.send(producer, "/queue/short", "short-\(message)")
            try harness.ack(consumer, "short-\(message)")
        }
        let short = try #require(harness.broker.registry.queues.first { $0.name == "/queue/short" })
        #expect(capacity(short) == 0 && capacity(long) > 2 * Queue.smallRunMax)
        #expect(spareCapacity(harness) <= 2 * Queue.smallRunMax)
    }

    @Test("no more is asked of the store than there is, so that one message is read as one")
    func asked() throws {
        let harness = try BrokerHarness()
        let producer = try harness.connect()
        for count in 1...20 {
            try harness.send(producer, "/queue/a", "\(count)")
            let queue = try #require(harness.broker.registry.queues.first)
            let wanted = queue.wantedFetch(bytesMax: 1)?.limit.messages
            #expect(wanted == min(count, Queue.fetchMessagesMin))
        }
    }
}
