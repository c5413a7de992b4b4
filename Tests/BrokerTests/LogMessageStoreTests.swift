import Base
import DequeModule
import NIOCore
import TestSupport
import Testing

@testable import Broker
@testable import LogStore

/// Messages out of the log's tail, in memory of their own.
@Suite struct LogMessageStoreTests {
    private let store: LogMessageStore

    init() throws {
        var options = LogStoreOptions()
        options.preallocates = false
        options.minFreeDiskBytes = 0
        var generator = SeededGenerator(seed: 1)
        let opened = try Recovery.open(
            SimulatedFileSystem(seed: 1),
            directory: "/data",
            options: options,
            now: WallTime(milliseconds: 1),
            using: &generator
        )
        store = LogMessageStore(opened.store)
    }

    private func send(_ body: ByteBuffer, to queue: QueueID) {
        let headers = ByteBuffer(string: "length:\(body.readableBytes)\n")
        let message = Message(headers: headers, body: body)
        _ = store.enqueue(message, to: queue, at: WallTime(milliseconds: 1))
    }

    private func fetch(
        _ queue: QueueID,
        from sequence: EntrySequence = EntrySequence(1),
        _ limit: FetchLimit
    ) throws -> (messages: [FetchedMessage], next: EntrySequence) {
        var run = UniqueDeque<FetchedMessage>()
        let next = try #require(store.fetch(queue, from: sequence, limit: limit, into: &run))
        var messages: [FetchedMessage] = []
        while let message = run.popFirst() { messages.append(message) }
        return (messages, next)
    }

    /// How many stretches of memory the messages stand in, one behind the other.
    private func blocks(of run: [FetchedMessage]) -> Int {
        var end = 0
        var blocks = 0
        for item in run {
            let body = item.message.body.withUnsafeReadableBytes { $0 }
            let start = Int(bitPattern: body.baseAddress)
            if start - item.message.headers.readableBytes != end { blocks += 1 }
            end = start + body.count
        }
        return blocks
    }

    @Test(
        "what is fetched is what was sent, whatever the sizes and the limits",
        arguments: [(1, 1 << 17), (2, 1 << 17), (7, 1000), (512, 1 << 17), (512, 1)]
    )
    func content(messages: Int, bytes: Int) throws {
        let queue = store.declare("/queue/a")
        let sizes = [0, 0, 1, 300, 2_030, 2_048, 2_049, 10, 70_000, 5, 200_000, 0, 3]
        let count = 3 * sizes.count
        for number in 0..<count {
            let byte = UInt8(number)
            send(ByteBuffer(repeating: byte, count: sizes[number % sizes.count]), to: queue)
        }
        var found: [FetchedMessage] = []
        while found.count < count {
            let from = found.last?.sequence.next ?? EntrySequence(1)
            let run = try fetch(queue, from: from, FetchLimit(messages: messages, bytes: bytes))
            try #require((1...messages).contains(run.messages.count))
            found += run.messages
            #expect(run.next == found.last?.sequence.next)
        }
        for (number, item) in found.enumerated() {
            let size = sizes[number % sizes.count]
            #expect(item.sequence == EntrySequence(UInt64(number + 1)))
            #expect(item.message.headers == ByteBuffer(string: "length:\(size)\n"))
            #expect(item.message.body == ByteBuffer(repeating: UInt8(number), count: size))
        }
    }

    @Test("the memory of a run fits its messages, whatever other queues have had")
    func memory() throws {
        let large = store.declare("/queue/large")
        let small = store.declare("/queue/small")
        for _ in 0..<600 { send(ByteBuffer(repeating: 1, count: 1_000), to: large) }
        for _ in 0..<3 { send(ByteBuffer(repeating: 2, count: 100), to: small) }
        for _ in 0..<2 {
            let run = try fetch(large, FetchLimit(messages: 512, bytes: 1 << 17)).messages
            #expect(run.count > 100)
            #expect(run.allSatisfy { $0.message.body.storageCapacity <= 1 << 17 })
            // The one that passes the limit has a block of its own.
            #expect(blocks(of: run) <= 2)
            for item in try fetch(small, FetchLimit(messages: 3, bytes: 1 << 17)).messages {
                #expect(item.message.body.storageCapacity <= 512)
            }
        }
    }
}
