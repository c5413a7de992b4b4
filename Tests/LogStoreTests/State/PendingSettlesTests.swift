import Base
import Testing

@testable import LogStore

@Suite("Settles that are in no record yet")
struct PendingSettlesTests {
    private let a = QueueState(id: QueueID(1), name: "a")
    private let b = QueueState(id: QueueID(2), name: "b")

    private func run(_ queue: QueueState, _ first: UInt64, _ count: UInt32, _ bytes: UInt64)
        -> SettledRun
    {
        SettledRun(queue: queue.id, first: first, count: count, bytes: bytes, reason: 1)
    }

    private func runs(_ pending: PendingSettles) -> [SettledRun] {
        (0..<pending.count).map { pending[$0] }
    }

    @Test("what follows on a queue's last run joins it, whatever other queues settle in between")
    func runs() {
        var pending = PendingSettles()
        #expect(pending.isEmpty)
        for (sequence, queue) in [(1, a), (7, b), (2, a), (8, b), (9, b), (4, a), (3, a), (10, b)] {
            pending.add(UInt64(sequence), bytes: 10, reason: 1, of: queue)
        }
        let singles = [run(a, 4, 1, 10), run(a, 3, 1, 10)]
        #expect(runs(pending) == [run(a, 1, 2, 20), run(b, 7, 4, 40)] + singles)
        #expect(!pending.isEmpty)
    }

    @Test("where a queue's run stood before is no place for it among the next ones")
    func forgotten() {
        var pending = PendingSettles()
        pending.add(1, bytes: 10, reason: 1, of: a)
        pending.add(1, bytes: 10, reason: 1, of: b)
        pending.removeAll()
        #expect(pending.isEmpty)
        pending.add(1, bytes: 10, reason: 1, of: b)
        pending.add(2, bytes: 10, reason: 1, of: a)
        pending.add(2, bytes: 10, reason: 1, of: b)
        #expect(runs(pending) == [run(b, 1, 2, 20), run(a, 2, 1, 10)])
    }

    @Test("a run has one reason")
    func reasons() {
        var pending = PendingSettles()
        for (sequence, reason) in [(1, 1), (2, 1), (3, 4), (4, 4), (5, 1)] as [(UInt64, UInt8)] {
            pending.add(sequence, bytes: 10, reason: reason, of: a)
        }
        let dropped = SettledRun(queue: a.id, first: 3, count: 2, bytes: 20, reason: 4)
        #expect(runs(pending) == [run(a, 1, 2, 20), dropped, run(a, 5, 1, 10)])
    }

    @Test("a list is full when a record can take no more runs")
    func full() {
        var pending = PendingSettles()
        for number in 0..<SettleRecord.runsMax {
            #expect(!pending.isFull)
            pending.add(UInt64(1 + 2 * number), bytes: 1, reason: 1, of: a)
        }
        #expect(pending.count == SettleRecord.runsMax && pending.isFull)
    }

    @Test("a run whose bytes would not fit into 32 bits goes on as another one")
    func manyBytes() {
        var pending = PendingSettles()
        let half = UInt64(1) << 31
        for (sequence, bytes) in [(1, half), (2, half - 1), (3, 1)] as [(UInt64, UInt64)] {
            pending.add(sequence, bytes: bytes, reason: 1, of: a)
        }
        #expect(runs(pending) == [run(a, 1, 2, 2 * half - 1), run(a, 3, 1, 1)])
    }
}
