import Base
import DequeModule

extension Dispatcher {
    /// Drops the oldest entries that are not in flight until a `drop_oldest` queue is within its
    /// limits.
    ///
    /// Entries of a persistent queue must be read before they can be dropped, for which of them are
    /// settled stands in the log: such a queue is over its limit while it reads from the disk.
    func trim(_ queue: Queue) {
        while queue.isOver(queue.depth(in: store)) {
            if queue.isPersistent, let first = queue.returned.first,
                queue.ready.isEmpty || first.sequence < queue.ready[0].sequence
            {
                guard queue.fetch == .none else { return }
                queue.returned.removeFirst()
                drop(first.sequence, bytes: nil, from: queue)
            } else if !queue.ready.isEmpty {
                let item = queue.takeFront()
                let bytes = item.message.byteCount
                if queue.isPersistent { fetchedBytes -= bytes }
                drop(item.sequence, bytes: bytes, from: queue)
            } else if let (from, limit) = queue.wantedTrimFetch() {
                queue.fetchOpened(from: from)
                var run = UniqueDeque<FetchedMessage>()
                guard let next = store.fetch(queue.id, from: from, limit: limit, into: &run) else {
                    return
                }
                let before = queue.readyBytes
                stats.unreadableEntries += queue.fetched(&run, next: next)
                fetchedBytes += queue.readyBytes - before
                guard next > from else { return }
            } else {
                return
            }
        }
    }

    private func drop(_ sequence: EntrySequence, bytes: Int?, from queue: Queue) {
        stats.queueDrops += 1
        if queue.isPersistent {
            store.settle(queue.id, sequence, bytes: bytes, reason: .dropped)
        }
    }
}
