import Base
import Testing

@testable import LogStore

@Suite struct QueueStateTests {
    private func queue(segments: ClosedRange<UInt32> = 1...3, each: UInt64 = 10) -> QueueState {
        let queue = QueueState(id: QueueID(1), name: "a")
        for segment in segments {
            queue.beginSegment(segment)
            for index in 0..<each {
                _ = queue.append(
                    queue.nextSequence,
                    bytes: 5,
                    time: 1,
                    expires: 0,
                    segment: segment,
                    offset: UInt32(64 + index * 8)
                )
            }
        }
        return queue
    }

    @Test("each segment has an extent of its own")
    func extents() {
        let queue = queue()
        #expect(queue.extents.map(\.first) == [1, 11, 21])
        #expect(queue.liveCount == 30)
        #expect(queue.liveBytes == 150)
        #expect(queue.nextSequence == 31)
    }

    @Test("a posting list begins with the room that it needed before, up to 64 places")
    func postingList() {
        for (each, room) in [(0, 0), (20, 20), (1_000, 64)] as [(UInt64, Int)] {
            let queue = queue(segments: 1...1, each: each)
            queue.endSegment()
            #expect(queue.activeOffsets.capacity == 0)
            queue.beginSegment(2)
            #expect(queue.activeOffsets.isEmpty)
            #expect(queue.activeOffsets.capacity >= room)
            #expect(queue.activeOffsets.capacity <= 2 * room)
            #expect(queue.activeFirst == each + 1)
        }
    }

    @Test("a queue without entries holds no bytes, whatever was said of each")
    func unequalSizes() {
        let queue = QueueState(id: QueueID(1), name: "a")
        queue.beginSegment(1)
        for bytes in [1_000, 100, 7] {
            _ = queue.append(
                queue.nextSequence,
                bytes: bytes,
                time: 1,
                expires: 0,
                segment: 1,
                offset: 64
            )
        }
        let freed = [(1, nil), (3, 7), (2, 100)].map { queue.settle($0, bytes: $1)?.bytes }
        #expect(freed == [369, 7, 731])
        #expect(queue.liveCount == 0 && queue.liveBytes == 0)
    }

    @Test("the last settle of an extent ends it, and names its segment")
    func extentEnds() throws {
        let queue = queue()
        for sequence in (11...19 as ClosedRange<UInt64>) {
            #expect(try !#require(queue.settle(sequence, bytes: 5)).endsExtent)
        }
        let settled = try #require(queue.settle(20, bytes: 5))
        #expect(settled.endsExtent && settled.segment == 2)
        #expect(queue.settle(20, bytes: 5) == nil)
        #expect(queue.settle(31, bytes: 5) == nil)
        #expect(queue.extents.map(\.segment) == [1, 3])
        #expect(queue.liveBytes == 100)
        #expect(queue.extentIndex(of: 15) == nil)
        #expect(queue.extentIndex(from: 15) == 1)
    }

    @Test("a purge ends whole extents and cuts one", arguments: [1, 2, 11, 15, 31, 99] as [UInt64])
    func purge(end: UInt64) {
        let queue = queue()
        let ended = queue.purge(below: end)
        #expect(ended.count == Int(min(end - 1, 30) / 10))
        #expect(queue.liveCount == 30 - Int(min(end - 1, 30)))
        #expect(queue.firstSequence == min(end, 31))
        #expect(queue.liveBytes == UInt64(queue.liveCount) * 5)
    }

    @Test("delivery counts are kept for unsettled entries only")
    func deliveryCounts() {
        let queue = queue()
        for sequence in [1, 5, 25, 99] as [UInt64] {
            queue.requeue(sequence, Requeue(deliveryCount: 2))
        }
        #expect(queue.requeues.mapValues(\.deliveryCount) == [1: 2, 5: 2, 25: 2])
        _ = queue.settle(25, bytes: nil)
        _ = queue.purge(below: 5)
        queue.requeue(25, Requeue(deliveryCount: 3))
        #expect(queue.requeues.mapValues(\.deliveryCount) == [5: 2])
    }

    @Test("entries that damage took leave holes in the posting list")
    func holes() {
        let queue = QueueState(id: QueueID(1), name: "a")
        queue.beginSegment(1)
        _ = queue.append(1, bytes: 1, time: 1, expires: 0, segment: 1, offset: 64)
        _ = queue.append(4, bytes: 1, time: 1, expires: 0, segment: 1, offset: 96)
        #expect(queue.activeOffsets == [64, 0, 0, 96])
        #expect(queue.extents.map(\.first) == [1, 4])
        #expect(queue.liveCount == 2)
    }

    @Test("places that are read again fill holes and never go back")
    func restoresOffsets() {
        let queue = QueueState(id: QueueID(1), name: "a", nextSequence: 9)
        queue.beginSegment(1)
        queue.restoreOffset(5, offset: 64)
        queue.restoreOffset(7, offset: 80)
        queue.restoreOffset(6, offset: 72)
        #expect(queue.activeFirst == 5)
        #expect(queue.activeOffsets == [64, 0, 80])
    }
}
