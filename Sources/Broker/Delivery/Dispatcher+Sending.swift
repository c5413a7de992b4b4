import Base
import DequeModule

/// Putting messages into queues.
extension Dispatcher {
    /// Says why a queue cannot take one more message of this size; nil if it can.
    func refusal(_ bytes: Int, of queue: Queue) -> BrokerError? {
        if queue.isPersistent, let reason = sendsRefused {
            return BrokerError(.refused, "queue \(queue.name) takes no messages now: \(reason)")
        }
        return queue.refusal(of: bytes, store: store)
    }

    /// Puts a message into a memory queue.
    ///
    /// Delivers nothing.
    func enqueueInMemory(_ message: Message, to queue: Queue) {
        let kept = message.compacted()
        let sequence = queue.takeSequence()
        let time = now.wall.milliseconds
        queue.ready.append(
            FetchedMessage(sequence: sequence, deliveryCount: 0, time: time, message: kept)
        )
        queue.readyBytes += kept.byteCount
        noteDue(queue.due(expires: kept.expires, time: time), of: sequence, in: queue)
        if queue.dropsOldest { trim(queue) }
    }

    /// Notes an entry that the store made.
    func appended(
        _ sequence: EntrySequence,
        of message: Message,
        to queue: Queue,
        coveredBy append: AppendID
    ) {
        appended(
            sequence,
            to: queue,
            due: queue.due(expires: message.expires, time: now.wall.milliseconds),
            coveredBy: append
        )
    }
}

extension Message {
    func isExpired(at now: WallTime) -> Bool { expires != 0 && expires <= now.milliseconds }
}
