import Base

/// Which queue has a name, while the log is replayed.
///
/// In a sound log a name has one queue at a time: it is given again once the delete record of the queue
/// that had it stands in the log. Damage takes delete records, and names.
///
/// Invariant: each queue of the state stands under its name.
struct QueueNames {
    private var ids: [String: QueueID] = [:]

    /// Begins with the queues of a checkpoint.
    init(_ state: StoreState) {
        for queue in state.queues.values { claim(queue, in: state) }
    }

    /// A queue whose name's record is lost, from its first entry that is there on.
    mutating func makeUnnamed(_ id: QueueID, nextSequence: UInt64, in state: StoreState)
        -> QueueState
    {
        let name = freeName(of: id)
        ids[name] = id
        return state.name(id, name, nextSequence: nextSequence)
    }

    /// Names a queue as its record does.
    mutating func name(_ record: QueueRecord, in state: StoreState) -> QueueState {
        let old = state.queue(record.queue)?.name
        let queue = state.name(record.queue, record.name, nextSequence: record.nextSequence)
        if old != record.name {
            if let old { ids[old] = nil }
            claim(queue, in: state)
        }
        return queue
    }

    mutating func delete(_ id: QueueID, in state: StoreState) {
        if let queue = state.queue(id) { ids[queue.name] = nil }
        state.delete(id)
    }

    /// Gives a queue its name, which another one can have only because that one's delete record is lost,
    /// or because its own name is and this one was made up.
    ///
    /// The other one goes on under a name that is made up: damage is no reason to delete what is in it.
    private mutating func claim(_ queue: QueueState, in state: StoreState) {
        if let other = ids[queue.name], other != queue.id, let holder = state.queue(other) {
            if holder.liveCount == 0, other < queue.id {
                state.delete(other)
            } else {
                holder.rename(freeName(of: other))
                ids[holder.name] = other
            }
        }
        ids[queue.name] = queue.id
    }

    private static let prefix = "/queue/recovered."

    private func freeName(of id: QueueID) -> String {
        var name = Self.prefix + "\(id.value)"
        while ids[name] != nil { name += "-" }
        return name
    }
}
