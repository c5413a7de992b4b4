import Base
import Testing

@testable import LogStore

@Suite struct CheckpointFormatTests {
    private let store = StoreID(high: 1, low: 2)

    private func state() -> StoreState {
        let state = StoreState()
        for segment in 1...3 as ClosedRange<UInt32> { state.segments.begin(segment) }
        for name in ["a", "/queue/with a longer name", ""] {
            let queue = state.name(QueueID(state.nextQueueID), name, nextSequence: 1)
            for segment in 1...3 as ClosedRange<UInt32> {
                queue.beginSegment(segment)
                for index in 0..<70 {
                    state.append(
                        to: queue,
                        queue.nextSequence,
                        bytes: index,
                        time: 1_000 + UInt64(index),
                        expires: index < 2 ? 0 : 9_000 - UInt64(index),
                        segment: segment,
                        offset: 64 + index * 8
                    )
                }
            }
            _ = state.settle(queue, 1, bytes: 0)
            _ = state.settle(queue, 100, bytes: 5)
            queue.requeue(7, Requeue(deliveryCount: 4, isRejected: true, due: 5_001))
        }
        state.segments.seal(1, length: 5_000, footerOffset: 4_000)
        state.segments.seal(2, length: 6_000, footerOffset: 0)
        return state
    }

    private func encoded(_ state: StoreState, number: UInt64 = 9) -> [UInt8] {
        CheckpointFormat.encode(
            state,
            store: store,
            number: number,
            position: LogPosition(segment: 3, offset: 700),
            nextGroup: 44,
            epoch: 6
        )
    }

    @Test("what is stored comes back")
    func roundTrip() throws {
        let state = state()
        state.segments.restoreDropped(SegmentFile(segment: 77, generation: 0), checkpoint: 3)
        let content = try CheckpointFormat.decode(encoded(state).span.bytes)
        #expect(content.header.store == store)
        #expect(content.header.number == 9)
        #expect(content.header.position == LogPosition(segment: 3, offset: 700))
        #expect(content.header.nextGroup == 44)
        #expect(content.header.epoch == 6)
        #expect(content.state.nextQueueID == 4)
        #expect(content.state.segments.infos == state.segments.infos)
        #expect(content.state.segments.absent == [SegmentFile(segment: 77, generation: 0)])
        for queue in state.queues.values {
            let again = try #require(content.state.queues[queue.id.value])
            #expect(again.name == queue.name)
            #expect(again.nextSequence == queue.nextSequence)
            #expect(again.liveCount == queue.liveCount)
            #expect(again.liveBytes == queue.liveBytes)
            #expect(
                again.requeues == [7: Requeue(deliveryCount: 4, isRejected: true, due: 6_000)]
            )
            #expect(again.extents.map(\.times) == queue.extents.map(\.times))
            #expect(again.extents.map(\.times.expires) == [8_931, 8_931, 8_931])
            #expect(again.firstSequence == 2)
            #expect(
                again.extents.map(\.settledState.bitmap) == queue.extents.map(\.settledState.bitmap)
            )
        }
        #expect(encoded(content.state) == encoded(state))
    }

    @Test("each flipped bit is noticed")
    func flippedBits() {
        let bytes = encoded(state())
        for offset in stride(from: 0, to: bytes.count, by: 7) {
            var hit = bytes
            hit[offset] ^= 1 << UInt8(offset % 8)
            #expect(throws: CheckpointFault.self) { try CheckpointFormat.decode(hit.span.bytes) }
        }
    }

    @Test("a file cut short anywhere is refused")
    func cutShort() {
        let bytes = encoded(state())
        for count in stride(from: 0, to: bytes.count, by: 5) {
            let part = Array(bytes[..<count])
            #expect(throws: CheckpointFault.self) { try CheckpointFormat.decode(part.span.bytes) }
        }
    }

    /// Changes bytes and makes the checksum right again.
    private func forged(_ bytes: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes = bytes
        change(&bytes)
        bytes.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        let crc = Checksum.crc32c(0, bytes.span.bytes)
        bytes.replaceSubrange(12..<16, with: (0..<4).map { UInt8(crc >> ($0 * 8) & 0xFF) })
        return bytes
    }

    @Test("a newer version is told from damage")
    func newerVersion() {
        let bytes = forged(encoded(state())) { $0[8] = 5 }
        #expect(throws: CheckpointFault.newerVersion(5)) {
            try CheckpointFormat.decode(bytes.span.bytes)
        }
    }

    @Test(
        "counts that contradict what follows are refused",
        arguments: [68, 72, 76],
        [0, 1, 0xFF] as [UInt8]
    )
    func contradictions(offset: Int, value: UInt8) {
        let bytes = encoded(state())
        guard bytes[offset] != value else { return }
        let wrong = forged(bytes) { $0[offset] = value }
        #expect(throws: CheckpointFault.self) { try CheckpointFormat.decode(wrong.span.bytes) }
    }

    @Test("bytes behind the last queue are refused")
    func trailing() {
        let bytes = forged(encoded(state())) { $0 += [0, 0, 0, 0, 0, 0, 0, 0] }
        #expect(throws: CheckpointFault.contradiction("bytes follow the last queue")) {
            try CheckpointFormat.decode(bytes.span.bytes)
        }
    }
}
