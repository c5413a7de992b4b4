import Base

/// Compares the state that a checkpoint claims with the state that records lead to.
///
/// A log that was shortened has forgotten the settles in its removed segments. Then only one
/// direction can be told: what the checkpoint calls unsettled must be there.
struct VerifierComparison {
    let claimed: StoreState
    let found: StoreState
    /// Nothing is missing from the log, so that both must be the same.
    let isExact: Bool

    /// The first contradiction in words, or nil.
    ///
    /// Linear in the unsettled entries.
    func contradiction() -> String? {
        for queue in claimed.queues.values {
            if let reason = compare(queue) { return reason }
        }
        guard isExact else { return nil }
        if claimed.nextQueueID != found.nextQueueID { return "the next queue's id differs" }
        for queue in found.queues.values where claimed.queues[queue.id.value] == nil {
            return "queue \(queue.name) is not in it"
        }
        return nil
    }

    private func compare(_ queue: QueueState) -> String? {
        guard let other = found.queues[queue.id.value] else {
            return queue.extents.isEmpty && !isExact ? nil : "queue \(queue.name) has no record"
        }
        if queue.name != other.name { return "queue \(queue.name) is named \(other.name)" }
        if other.nextSequence > queue.nextSequence
            || isExact && other.nextSequence != queue.nextSequence
        {
            return "queue \(queue.name) goes on at \(other.nextSequence)"
        }
        for extent in queue.extents {
            var sequence = extent.firstUnsettled(from: 0)
            while let entry = sequence {
                guard let index = other.extentIndex(of: entry),
                    other.extents[index].segment == extent.segment,
                    !other.extents[index].isSettled(entry)
                else { return "entry \(entry) of queue \(queue.name) is settled or not there" }
                sequence = extent.firstUnsettled(from: entry + 1)
            }
        }
        guard isExact else { return nil }
        if queue.liveCount != other.liveCount {
            return "queue \(queue.name) has \(other.liveCount) unsettled entries, "
                + "not \(queue.liveCount)"
        }
        if queue.requeues != other.requeues {
            return "delivery counts of queue \(queue.name) differ"
        }
        return nil
    }
}
