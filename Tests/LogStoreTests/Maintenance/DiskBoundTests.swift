import Base
import TestSupport
import Testing

@testable import LogStore

/// The bound for disk use in docs/operating.md, under workloads that are made to break it.
@Suite struct DiskBoundTests {
    private static let options = {
        var options = LogStoreOptions()
        options.segmentBytes = 64 << 10
        options.chunkBytes = 16 << 10
        options.tailBytes = 16 << 10
        options.minFreeDiskBytes = 0
        options.reserveBytes = 48 << 10
        options.packGainBytesMin = 2 << 10
        options.packBytesPerSecond = 1 << 30
        return options
    }()

    /// A store with a second's rest after each turn of sends and settles.
    private struct Load {
        let store: ManualStore
        var log: LogStore { store.store }
        /// Header blocks and bodies that were sent, once for each queue.
        var sentBytes = 0
        var segmentsMax = 0

        init() throws {
            store = try ManualStore(DiskBoundTests.options)
        }

        mutating func send(_ count: Int, _ bytes: Int = 256, to queue: QueueID) {
            for _ in 0..<count { store.send(bytes, to: queue) }
            sentBytes += count * bytes
        }

        func settle(_ queue: QueueID, _ sequences: some Sequence<UInt64>) {
            for sequence in sequences {
                log.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
            }
        }

        /// Time for packing and for checkpoints.
        func rest(_ seconds: Int = 1) {
            for _ in 0..<seconds {
                store.tick(after: .seconds(1))
                store.drain()
            }
            _ = log.takeNotices()
        }

        var liveBytes: Int { log.state.queues.values.reduce(0) { $0 + Int($1.liveBytes) } }

        /// Twice the unsettled messages with 48 bytes each; for each segment that has any, what packing
        /// does not bother about and a file's own bytes; four segments and the reserve; two checkpoints.
        var bound: Int {
            let options = DiskBoundTests.options
            let queues = log.state.queues.values
            let entries = queues.reduce(0) { $0 + $1.liveCount }
            let segments = log.state.liveSegments.count
            let checkpoint = CheckpointFormat.encode(
                log.state,
                store: log.id,
                number: 1,
                position: log.tail.end,
                nextGroup: 1,
                epoch: 1
            )
            return 2 * (liveBytes + 48 * entries) + segments * (options.packGainBytesMin + 1_536)
                + 4 * options.segmentBytes + options.reserveBytes + 2 * (checkpoint.count + 512)
        }

        func expectBound(_ what: String, at location: SourceLocation = #_sourceLocation) {
            let used = store.files.usedBytes
            #expect(
                used <= bound,
                "\(what): \(used) bytes, bound \(bound)",
                sourceLocation: location
            )
        }

        /// Bytes written for each byte sent.
        var amplification: Double { Double(store.written.all) / Double(sentBytes) }
    }

    @Test("messages that are consumed as they come: little more is written than is sent")
    func plain() throws {
        var load = try Load()
        let queue = load.log.declare("/queue/a")
        var settled: UInt64 = 0
        for turn in 0..<1_000 {
            load.send(50, to: queue)
            load.settle(queue, settled + 1...settled + 50)
            settled += 50
            load.store.drain()
            if turn % 20 == 0 { load.rest() }
        }
        load.rest(5)
        load.expectBound("at the end")
        #expect(load.store.files.usedBytes <= 4 * Self.options.segmentBytes + (48 << 10))
        #expect(load.amplification < 1.2)
    }

    @Test("one old message in every segment")
    func oneInEverySegment() throws {
        var load = try Load()
        let old = load.log.declare("/queue/old")
        let busy = load.log.declare("/queue/busy")
        var settled: UInt64 = 0
        for round in 0..<100 {
            load.send(1, to: old)
            load.send(200, to: busy)
            load.store.drain()
            load.settle(busy, settled + 1...settled + 200)
            settled += 200
            load.rest(5)
            load.expectBound("round \(round)")
        }
        load.rest(10)
        load.expectBound("at the end")
        #expect(load.log.depth(old)?.messages == 100)
        #expect(load.amplification < 3)
    }

    @Test("one in a thousand is never settled")
    func oneInAThousand() throws {
        var load = try Load()
        let queue = load.log.declare("/queue/a")
        var sent: UInt64 = 0
        for _ in 0..<40 {
            load.send(1_000, to: queue)
            load.store.drain()
            load.settle(queue, (sent + 1...sent + 1_000).filter { $0 % 1_000 != 0 })
            sent += 1_000
            load.rest(5)
            load.expectBound("after \(sent)")
        }
        load.rest(60)
        #expect(load.log.depth(queue)?.messages == 40)
        let segments = 4 * Self.options.segmentBytes + Self.options.reserveBytes
        let inFiles = load.store.files.usedBytes - segments
        #expect(inFiles < 40 * 3_000, "\(inFiles) bytes besides four segments")
        #expect(load.amplification < 3)
    }

    @Test("the same messages come back again and again")
    func endlessReturns() throws {
        var load = try Load()
        let queue = load.log.declare("/queue/a")
        load.send(10, to: queue)
        for round in 1...400 {
            for count in 1...20 {
                for sequence in UInt64(1)...10 {
                    load.log.requeue(
                        queue,
                        EntrySequence(sequence),
                        Requeue(
                            deliveryCount: UInt32(round * 20 + count)
                        )
                    )
                }
            }
            load.store.drain()
            if round % 20 == 0 {
                load.rest()
                load.expectBound("round \(round)")
            }
        }
        load.rest(5)
        load.expectBound("at the end")
        load.store.files.kill()
        let again = try ManualStore(Self.options, on: load.store.files)
        #expect(again.store.depth(queue)?.messages == 10)
        #expect(again.store.state.queues[queue.value]?.requeues[1]?.deliveryCount == 8_020)
    }

    @Test("a purge of 200,000 messages is one record, and their disk comes back at once")
    func purge() throws {
        var load = try Load()
        let queue = load.log.declare("/queue/a")
        for _ in 0..<200 {
            load.send(1_000, 16, to: queue)
            load.store.drain()
        }
        let before = load.store.written.all
        load.log.purge(queue, below: EntrySequence(200_001))
        load.store.drain()
        let group = GroupRecord.length + PurgeRecord.length
        #expect(load.store.written.all - before == group)
        load.rest(5)
        load.expectBound("after the purge")
        #expect(load.store.files.usedBytes <= 4 * Self.options.segmentBytes + (48 << 10))
    }

    @Test("a thousand queues with one message each beside a busy one")
    func thousandQueues() throws {
        var load = try Load()
        let busy = load.log.declare("/queue/busy")
        var settled: UInt64 = 0
        for number in 0..<1_000 {
            load.send(1, to: load.log.declare("/queue/\(number)"))
            load.send(40, to: busy)
            load.store.drain()
            load.settle(busy, settled + 1...settled + 40)
            settled += 40
            if number % 50 == 0 {
                load.rest(5)
                load.expectBound("queue \(number)")
            }
        }
        load.rest(10)
        load.expectBound("at the end")
        #expect(load.amplification < 3)
    }

    @Test("everything expires, or goes to a dead-letter queue")
    func everythingIsMoved() throws {
        var load = try Load()
        let queue = load.log.declare("/queue/a")
        let dead = load.log.declare("/queue/dead")
        for _ in 0..<100 {
            load.send(100, to: queue)
            load.store.drain()
        }
        for sequence in UInt64(1)...10_000 {
            load.log.beginUnit(bytes: 400)
            if sequence % 2 == 0 { load.send(1, to: dead) }
            let reason: UInt8 = sequence % 2 == 0 ? 3 : 2
            load.log.settle(queue, EntrySequence(sequence), bytes: nil, reason: reason)
            load.log.endUnit()
            if sequence % 100 == 0 { load.store.drain() }
            if sequence % 1_000 == 0 {
                load.rest(5)
                load.expectBound("after \(sequence)")
            }
        }
        load.rest(5)
        load.expectBound("at the end")
        #expect(load.log.depth(dead)?.messages == 5_000)
        load.log.purge(dead, below: EntrySequence(5_001))
        load.rest(5)
        load.expectBound("with nothing left")
    }

    @Test(
        "half of what is left is settled over and over: each message is copied a few times at most"
    )
    func halvedAgainAndAgain() throws {
        var load = try Load()
        let queue = load.log.declare("/queue/a")
        for _ in 0..<160 {
            load.send(100, to: queue)
            load.store.drain()
        }
        var left = Array(UInt64(1)...16_000)
        let before = load.store.written.all
        while left.count > 1 {
            load.settle(queue, stride(from: 0, to: left.count, by: 2).map { left[$0] })
            left = stride(from: 1, to: left.count, by: 2).map { left[$0] }
            load.rest(10)
            load.expectBound("\(left.count) left")
        }
        // 1/2 + 1/4 + ... of what was there, without the settles; each left is copied log2 times.
        #expect(load.store.written.all - before < 3 * 16_000 * 300)
    }
}
