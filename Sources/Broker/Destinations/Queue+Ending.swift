import Base
import DequeModule

/// Why nobody is to get an entry again; the word that stands in its header.
enum DeathReason: String {
    case rejected
    case maxDeliveries = "max_deliveries"
    case expired
}

extension Queue {
    /// When a message expires here, in ms since 1970; `.max` = never.
    @inline(__always)
    func due(expires: UInt64, time: UInt64) -> UInt64 {
        if expires == 0 && timeToLive == 0 { return .max }
        let own = expires == 0 ? UInt64.max : expires
        guard timeToLive > 0 else { return own }
        let (sum, overflow) = time.addingReportingOverflow(timeToLive)
        return min(own, overflow ? .max : sum)
    }

    func due(_ item: FetchedMessage) -> UInt64 {
        due(expires: item.message.expires, time: item.time)
    }

    /// Why the front of `ready` must not be delivered; nil if it may be.
    @inline(__always)
    func deathOfFront(at now: WallTime) -> DeathReason? {
        if ready[0].deliveryCount == 0 && ready[0].message.expires == 0 && timeToLive == 0 {
            return nil
        }
        return death(of: ready[0], at: now)
    }

    func death(of item: FetchedMessage, at now: WallTime) -> DeathReason? {
        if let reason = death(isRejected: item.isRejected, deliveryCount: item.deliveryCount) {
            return reason
        }
        return due(item) <= now.milliseconds ? .expired : nil
    }

    /// Why an entry that came back is not to be delivered again; nil if it is.
    func death(isRejected: Bool, deliveryCount: UInt32) -> DeathReason? {
        if isRejected { return .rejected }
        return deliveriesMax > 0 && deliveryCount >= deliveriesMax ? .maxDeliveries : nil
    }

    /// How long an entry waits that came back for the `deliveryCount`-th time.
    func delay(of deliveryCount: UInt32) -> Interval {
        let delays = policy.requeueDelays
        guard let last = delays.last else { return .zero }
        let index = Int(deliveryCount) - 1
        return index < delays.count ? delays[max(0, index)] : last
    }

    // MARK: Dying

    var dyingBytes: Int {
        dying.indices.reduce(0) { $0 + (dying[$1].item?.message.byteCount ?? 0) }
    }

    /// Sets an entry aside that nobody is to get again.
    func setDying(_ entry: Dying) {
        dying.mergeFront([entry]) { $0.sequence < $1.sequence }
    }

    func isDying(_ sequence: EntrySequence) -> Bool {
        if dying.isEmpty { return false }
        var low = 0
        var high = dying.count
        while low < high {
            let middle = (low + high) / 2
            if dying[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < dying.count && dying[low].sequence == sequence
    }

    /// Dying entries at the front that follow each other without a gap, at most a window.
    func dyingRun() -> Int {
        var count = 1
        while count < min(dying.count, Self.fetchMessagesMax),
            dying[count].sequence == dying[count - 1].sequence.next
        {
            count += 1
        }
        return count
    }

    /// Takes the dying entries that a run of messages from `from` to `next` has looked at, each with its
    /// message if it was found.
    func takeDying(
        _ messages: inout UniqueDeque<FetchedMessage>,
        from: EntrySequence,
        next: EntrySequence
    ) -> [(entry: Dying, item: FetchedMessage?)] {
        var taken: [(Dying, FetchedMessage?)] = []
        var kept = UniqueDeque<Dying>()
        while let entry = dying.popFirst() {
            guard entry.sequence >= from, entry.sequence < next else {
                kept.append(entry)
                continue
            }
            while !messages.isEmpty, messages[0].sequence < entry.sequence {
                messages.removeFirst()
            }
            let isFound = !messages.isEmpty && messages[0].sequence == entry.sequence
            taken.append((entry, isFound ? messages.removeFirst() : nil))
        }
        dying = kept
        return taken
    }

    // MARK: Expiry

    /// Takes an entry that has expired out of wherever it waits; false if it is in flight, or about to
    /// become a dead letter anyway.
    ///
    /// `cursor` as it was when the entry was asked for: those from there on were nowhere else, and
    /// cannot have been settled since. Of those below it that the queue let go of meanwhile nobody can
    /// tell.
    func takeExpired(_ sequence: EntrySequence, cursor: EntrySequence) -> Bool {
        if delayed.remove(sequence) != nil { return true }
        if isDying(sequence) { return false }
        if sequence >= cursor { return true }
        if let index = returned.indices.first(where: { returned[$0].sequence == sequence }) {
            returned.remove(at: index)
            return true
        }
        if let index = ready.indices.first(where: { ready[$0].sequence == sequence }) {
            readyBytes -= ready.remove(at: index).message.byteCount
            return true
        }
        return false
    }

    /// Takes everything that has expired out of a memory queue, and notes when the next one does.
    func takeExpired(at now: WallTime) -> [FetchedMessage] {
        invariant(!isPersistent, "a persistent queue's messages are not here")
        var expired: [FetchedMessage] = []
        var nextDue = UInt64.max
        for item in delayed.items {
            if due(item) <= now.milliseconds {
                if delayed.remove(item.sequence) != nil { expired.append(item) }
            } else {
                nextDue = min(nextDue, due(item))
            }
        }
        ready.removeAll { item in
            guard due(item) <= now.milliseconds else {
                nextDue = min(nextDue, due(item))
                return false
            }
            readyBytes -= item.message.byteCount
            expired.append(item)
            return true
        }
        if inFlightCount > 0 {
            // What is in flight may come back, and have expired by then.
            nextDue = min(nextDue, now.milliseconds + Self.inFlightSweepMilliseconds)
        }
        expiry.removeAll()
        if nextDue < .max {
            expiry.note(ready.isEmpty ? appendedEnd : ready[0].sequence, due: nextDue)
        }
        return expired.sorted { $0.sequence < $1.sequence }
    }

    /// How soon a run is looked at again in which what has expired is in flight.
    static var inFlightSweepMilliseconds: UInt64 { 60_000 }
}
