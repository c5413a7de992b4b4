import Base
import Testing
import TestSupport

@testable import LogStore

/// What the store says is durable, and when.
@Suite struct GroupCommitTests {
    @Test("nothing is durable before the result of the sync")
    func waitsForTheSync() throws {
        let log = try ManualStore()
        log.send(to: log.store.declare("a"))
        let group = try #require(log.store.pendingGroup)
        log.endTurn()
        #expect(log.takeDurable().groups == [])
        let result = log.perform(try #require(log.takeWrite()))
        #expect(log.takeDurable().groups == [])
        #expect(log.store.pendingGroup == group)
        log.complete(result)
        #expect(log.takeDurable().groups == [group])
        #expect(log.store.pendingGroup == nil)
    }

    @Test("what comes while a write runs is one group more, and durable after it")
    func nextGroup() throws {
        let log = try ManualStore()
        let queue = log.store.declare("a")
        let first = try #require(log.store.pendingGroup)
        log.endTurn()
        let write = log.perform(try #require(log.takeWrite()))
        for _ in 0..<5 {
            log.send(to: queue)
            #expect(log.store.pendingGroup == first + 1)
            log.endTurn()
        }
        #expect(log.takeWrite() == nil, "two writes at once")
        log.complete(write)
        #expect(log.takeDurable().groups == [first])
        log.drain()
        #expect(log.takeDurable().groups == [first + 1])
    }

    /// A store that keeps settles back for 5 ms, with two durable messages in a queue.
    private func patientStore() throws -> (ManualStore, QueueID) {
        var options = ManualStore.options
        options.settleDelay = .milliseconds(5)
        let log = try ManualStore(options)
        let queue = log.store.declare("a")
        for _ in 0..<2 { log.send(to: queue) }
        log.drain()
        _ = log.takeDurable()
        return (log, queue)
    }

    private func settle(_ sequence: UInt64, _ queue: QueueID, _ log: ManualStore) {
        log.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
    }

    @Test("settles that nobody waits for are written together, and not later than they may be")
    func patientSettles() throws {
        let (log, queue) = try patientStore()
        settle(1, queue, log)
        let group = try #require(log.store.pendingGroup)
        log.endTurn()
        #expect(log.takeWrite() == nil)
        #expect(log.store.settlesDue == log.now.advanced(by: .milliseconds(5)))
        log.now = log.now.advanced(by: .milliseconds(4))
        settle(2, queue, log)
        #expect(log.store.pendingGroup == group)
        log.endTurn()
        #expect(log.takeWrite() == nil)
        log.now = log.now.advanced(by: .milliseconds(1))
        log.endTurn()
        log.complete(log.perform(try #require(log.takeWrite())))
        #expect(log.takeDurable().groups == [group])
        #expect(log.store.settlesDue == nil && log.store.pendingGroup == nil)
    }

    @Test("settles go at once with a message, or when somebody waits for them")
    func hastenedSettles() throws {
        let (log, queue) = try patientStore()
        settle(1, queue, log)
        log.endTurn()
        let group = try #require(log.store.pendingGroup)
        log.send(to: queue)
        #expect(log.store.pendingGroup == group)
        log.endTurn()
        log.complete(log.perform(try #require(log.takeWrite())))
        #expect(log.takeDurable().groups == [group])
        settle(2, queue, log)
        log.store.hasten()
        log.endTurn()
        log.complete(log.perform(try #require(log.takeWrite())))
        #expect(log.takeDurable().groups == [group + 1])
        #expect(log.store.pendingGroup == nil)
    }

    @Test("a failed sync ends the store, and no later notice says durable")
    func failedSync() throws {
        let log = try ManualStore()
        log.files.fail(SimulatedFault(.syncData, .other(5)))
        log.send(to: log.store.declare("a"))
        log.drain()
        let notices = log.takeDurable()
        #expect(notices.groups == [])
        #expect(notices.hasFailed)
        for _ in 0..<3 {
            log.tick(after: .seconds(2))
            log.drain()
        }
        #expect(log.takeDurable().groups == [])
        #expect(log.jobs.isEmpty)
    }

    @Test("a sync that finds no space ends the store too")
    func noSpaceInSync() throws {
        let log = try ManualStore()
        log.files.fail(SimulatedFault(.syncData, .noSpace))
        log.send(to: log.store.declare("a"))
        log.drain()
        #expect(log.takeDurable().hasFailed)
    }

    @Test("a write that finds no space refuses sends, waits for a tick, and becomes durable")
    func noSpaceInWrite() throws {
        let log = try ManualStore()
        let queue = log.store.declare("a")
        log.files.fail(SimulatedFault(.write, .noSpace))
        log.send(to: queue)
        let group = try #require(log.store.pendingGroup)
        log.drain()
        #expect(log.takeDurable() == ([], false))
        log.store.settle(queue, EntrySequence(1), bytes: nil, reason: 1)
        log.drain()
        #expect(log.takeDurable() == ([], false))
        log.tick(after: .seconds(1))
        log.drain()
        #expect(log.takeDurable() == ([group, group + 1], false))
        log.files.kill()
        #expect(try ManualStore(on: log.files).report.messages == 0)
    }

    @Test("space below the minimum refuses sends; when it is back they are taken")
    func refusal() throws {
        var options = ManualStore.options
        options.minFreeDiskBytes = 64 << 10
        let log = try ManualStore(options)
        log.files.capacityBytes = log.files.usedBytes + 32 << 10
        log.tick(after: .seconds(1))
        log.drain()
        #expect(log.store.refusal != nil)
        log.files.capacityBytes = nil
        log.tick(after: .seconds(1))
        log.drain()
        #expect(log.store.refusal == nil)
    }

    @Test("settles of a turn become one record, in the group that was promised for them")
    func mergedSettles() throws {
        let log = try ManualStore()
        let queue = log.store.declare("a")
        for _ in 0..<5 { log.send(to: queue) }
        log.drain()
        _ = log.takeDurable()
        for sequence in [1, 2, 3, 5] as [UInt64] {
            #expect(log.store.settle(queue, EntrySequence(sequence), bytes: 10, reason: 1))
        }
        #expect(!log.store.settle(queue, EntrySequence(2), bytes: 10, reason: 1))
        let group = try #require(log.store.pendingGroup)
        log.drain()
        #expect(log.takeDurable().groups == [group])
        let records = try settleRecords(log)
        #expect(
            records.map(\.runs) == [
                [
                    SettledRun(queue: queue, first: 1, count: 3, bytes: 30, reason: 1),
                    SettledRun(queue: queue, first: 5, count: 1, bytes: 10, reason: 1),
                ]
            ]
        )
    }

    @Test("settles of many queues become one record, whatever the reason")
    func settlesOfManyQueues() throws {
        let log = try ManualStore()
        let queues = ["a", "b", "c"].map { log.store.declare($0) }
        for queue in queues { for _ in 0..<4 { log.send(to: queue) } }
        log.drain()
        for sequence in [1, 2] as [UInt64] {
            for queue in queues { settle(sequence, queue, log) }
        }
        log.store.settle(queues[0], EntrySequence(3), bytes: 10, reason: 4)
        log.drain()
        let records = try settleRecords(log)
        #expect(records.map { $0.runs.map(\.queue) } == [queues + [queues[0]]])
        #expect(records.first?.runs.map(\.count) == [2, 2, 2, 1])
        #expect(records.first?.runs.map(\.reason) == [1, 1, 1, 4])
        settle(3, queues[1], log)
        log.store.delete(queues[2])
        log.drain()
        log.files.crash()
        let again = try ManualStore(on: log.files)
        #expect(again.report.messages == 2)
        #expect(again.store.depth(queues[0])?.first.value == 4)
        #expect(again.store.depth(queues[1])?.first.value == 4)
        #expect(again.store.depth(queues[2]) == nil)
    }

    @Test("settles before a new segment begins are durable with the group promised for them")
    func settlesBeforeRoll() throws {
        let log = try ManualStore()
        let queue = log.store.declare("a")
        for _ in 0..<3 { log.send(3_000, to: queue) }
        log.drain()
        log.store.settle(queue, EntrySequence(1), bytes: nil, reason: 1)
        let group = try #require(log.store.pendingGroup)
        for _ in 0..<4 { log.send(3_000, to: queue) }
        #expect(log.store.tail.segment == 2)
        #expect(try #require(log.store.pendingGroup) > group)
        log.drain()
        #expect(log.takeDurable().groups.last ?? 0 > group)
        log.files.crash()
        let again = try ManualStore(on: log.files)
        #expect(again.report.messages == 6)
        #expect(again.store.depth(queue)?.first.value == 2)
    }

    @Test("senders are held above the limit of unconfirmed bytes, until half of it")
    func pressure() throws {
        var options = ManualStore.options
        options.unconfirmedBytesMax = 4_096
        let log = try ManualStore(options)
        let queue = log.store.declare("a")
        log.send(3_000, to: queue)
        log.endTurn()
        #expect(pressure(log) == [])
        log.send(3_000, to: queue)
        log.endTurn()
        #expect(pressure(log) == [true])
        // The first write leaves 3,000 bytes, which is more than half.
        log.complete(log.perform(try #require(log.takeWrite())))
        #expect(pressure(log) == [])
        log.complete(log.perform(try #require(log.takeWrite())))
        #expect(pressure(log) == [false])
    }

    @Test("under an interval, what is written is durable at once and synced in time")
    func everyInterval() throws {
        var options = ManualStore.options
        options.fsync = .every(.milliseconds(100))
        let log = try ManualStore(options)
        let queue = log.store.declare("a")
        log.now = log.now.advanced(by: .seconds(1))
        log.drain()
        _ = log.takeDurable()
        let syncs = log.files.counters.syncs
        log.send(to: queue)
        log.drain()
        #expect(log.takeDurable().groups.count == 1)
        #expect(log.files.counters.syncs == syncs)
        log.tick(after: .milliseconds(99))
        log.drain()
        #expect(log.files.counters.syncs == syncs)
        log.tick(after: .milliseconds(1))
        log.drain()
        #expect(log.files.counters.syncs == syncs + 1)
        log.files.crash()
        #expect(try ManualStore(options, on: log.files).report.messages == 1)
    }

    private func pressure(_ log: ManualStore) -> [Bool] {
        log.store.takeNotices().compactMap { notice in
            if case .pressure(let isOn) = notice { isOn } else { nil }
        }
    }

    private func settleRecords(_ log: ManualStore) throws -> [SettleRecord] {
        let file = try log.files.open("/data/" + FileNames.segment(1), .read)
        defer { log.files.close(file) }
        var scanner = SegmentScanner(
            try BlockReader(log.files, file),
            segment: 1,
            store: log.store.id,
            start: ScanStart()
        )
        var records: [SettleRecord] = []
        while true {
            let event = try scanner.next()
            if case .end = event { return records }
            guard case .record(let header) = event else { continue }
            let bytes = scanner.reader.window.span.bytes
            if let record = SettleRecord(header, bytes, at: scanner.windowOffset) {
                records.append(record)
            }
        }
    }

    @Test("a segment's end and the checkpoint behind it fall into two turns")
    func segmentEndAndCheckpoint() throws {
        let store = try ManualStore()
        let queue = store.store.declare("/queue/a")
        store.drain()
        while store.store.tail.segment == 1 {
            store.drain()
            store.send(1000, to: queue)
            store.endTurn()
        }
        #expect(store.store.checkpointWanted && store.store.capturedCheckpoint == nil)
        store.endTurn()
        #expect(!store.store.checkpointWanted && store.store.capturedCheckpoint != nil)
        store.drain()
        #expect(store.store.isIdle)
    }
}
