import Base

/// Everything that the log says about queues and segments: what applying its records in order leads
/// to.
///
/// The live path and recovery call the same methods, so both reach the same state.
///
/// Confinement: the store's owner.
final class StoreState {
    private(set) var queues = NumberedTable<QueueState>()
    var segments = SegmentTable()
    private(set) var nextQueueID: UInt32 = 1

    @inline(__always)
    func queue(_ id: QueueID) -> QueueState? { queues[id.value] }

    /// A queue of that id comes to be, or is named again in a further segment.
    @discardableResult
    func name(_ id: QueueID, _ name: String, nextSequence: UInt64) -> QueueState {
        nextQueueID = max(nextQueueID, id.value + 1)
        if let known = queues[id.value] {
            known.rename(name)
            known.raiseNextSequence(to: nextSequence)
            return known
        }
        let queue = QueueState(id: id, name: name, nextSequence: nextSequence)
        queues[id.value] = queue
        return queue
    }

    /// An entry whose message stands at `offset` of the active segment.
    @inline(__always)
    func append(
        to queue: QueueState,
        _ sequence: UInt64,
        bytes: Int,
        time: UInt64,
        expires: UInt64,
        segment: UInt32,
        offset: Int
    ) {
        let beganExtent = queue.append(
            sequence,
            bytes: bytes,
            time: time,
            expires: expires,
            segment: segment,
            offset: UInt32(offset)
        )
        if beganExtent { segments.extentBegan(in: segment) }
    }

    /// Settles one entry and returns the bytes that this freed; nothing if it was settled before.
    @inline(__always)
    func settle(_ queue: QueueState, _ sequence: UInt64, bytes: Int?) -> UInt64? {
        guard let settled = queue.settle(sequence, bytes: bytes) else { return nil }
        segments.touch(settled.segment)
        if settled.endsExtent { segments.extentEnded(in: settled.segment) }
        return settled.bytes
    }

    func purge(_ queue: QueueState, below end: UInt64) {
        for extent in queue.extents where extent.first < end { segments.touch(extent.segment) }
        for segment in queue.purge(below: end) { segments.extentEnded(in: segment) }
    }

    func delete(_ id: QueueID) {
        guard let queue = queues[id.value] else { return }
        purge(queue, below: .max)
        queues[id.value] = nil
        nextQueueID = max(nextQueueID, id.value + 1)
    }

    /// Takes over a queue from a checkpoint; its extents are counted in the segment table already.
    func restoreCounted(_ queue: QueueState) {
        queues[queue.id.value] = queue
    }

    func restore(nextQueueID: UInt32) {
        self.nextQueueID = max(self.nextQueueID, nextQueueID)
    }
}
