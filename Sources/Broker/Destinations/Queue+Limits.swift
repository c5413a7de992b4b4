import Base
import DequeModule

extension Queue {
    /// What it holds that is not settled, in flight or not.
    func depth(in store: any MessageStore) -> (messages: Int, bytes: Int) {
        guard isPersistent else {
            return (
                ready.count + inFlightCount + delayed.count + dying.count,
                readyBytes + inFlightBytes + delayed.bytes + dyingBytes
            )
        }
        let depth = store.depth(id)
        return (depth.messages, depth.bytes)
    }

    func isOver(_ depth: (messages: Int, bytes: Int)) -> Bool {
        exceededLimit(messages: depth.messages, bytes: depth.bytes) != nil
    }

    /// Says why one more message of `size` bytes cannot be taken, or nil if it can.
    ///
    /// With `drop_oldest` room is made, but never out of what is in flight.
    func refusal(of size: Int, store: any MessageStore) -> BrokerError? {
        guard isBounded else { return nil }
        let limit: String?
        switch policy.overflow {
        case .reject:
            let depth = depth(in: store)
            limit = exceededLimit(
                messages: depth.messages + reservedMessages + 1,
                bytes: depth.bytes + reservedBytes + size
            )
        case .dropOldest:
            limit = exceededLimit(messages: inFlightCount + 1, bytes: inFlightBytes + size)
        }
        return limit.map { BrokerError(.limitReached, "queue \(name) is full: \($0)") }
    }

    /// A fetch that only serves to drop what it brings; nil if there is nothing, or one is open.
    func wantedTrimFetch() -> (from: EntrySequence, limit: FetchLimit)? {
        guard isPersistent, fetch == .none, ready.isEmpty, returned.isEmpty, cursor < appendedEnd
        else { return nil }
        return (cursor, FetchLimit(messages: fetchMessages, bytes: Self.fetchBytesMax))
    }

    private func exceededLimit(messages: Int, bytes: Int) -> String? {
        if policy.messagesMax > 0, messages > policy.messagesMax {
            return "max_messages = \(policy.messagesMax)"
        }
        if policy.bytesMax > 0, bytes > policy.bytesMax {
            return "max_bytes = \(policy.bytesMax)"
        }
        return nil
    }
}
