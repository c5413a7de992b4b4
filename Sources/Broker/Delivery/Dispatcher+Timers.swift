import Base
import DequeModule

/// What time brings: leases end, entries that came back have waited long enough, messages expire.
extension Dispatcher {
    /// Fetches of one sweep; then others get their turn.
    private static let sweptRunsMax = 4
    /// How soon a queue is looked at again at the earliest, and how soon at the latest where the wall
    /// clock counts, which may jump.
    private static let queueTimerMin = Interval.milliseconds(10)
    private static let queueTimerMax = Interval.seconds(60)
    private static let leaseTimerMin = Interval.seconds(1)
    /// How soon a run is swept again whose dead-letter queue takes nothing.
    private static let refusedSweepMilliseconds: UInt64 = 10_000

    /// Does everything whose time has come.
    func runTimers() {
        guard failure == nil else { return }
        while let (target, time) = timers.takeDue(now.monotonic) {
            switch target {
            case .leases(let subscription):
                guard subscription.timer == time else { continue }
                subscription.timer = nil
                if !subscription.isEnded { endLeases(of: subscription) }
            case .queue(let queue):
                guard queue.timer == time else { continue }
                queue.timer = nil
                releaseDelayed(of: queue)
                sweep(queue)
                setTimer(of: queue)
                buryDying(queue)
                serve(queue)
            }
        }
    }

    // MARK: Setting

    func setTimer(of subscription: Subscription, at time: MonotonicTime) {
        subscription.timer = time
        timers.add(.leases(subscription), at: time)
    }

    func setTimer(of queue: Queue, at time: MonotonicTime) {
        if let timer = queue.timer, timer <= time { return }
        queue.timer = time
        timers.add(.queue(queue), at: time)
    }

    /// Sets a queue's timer for whatever comes next there.
    func setTimer(of queue: Queue) {
        let soonest = now.monotonic.advanced(by: Self.queueTimerMin)
        if let due = queue.delayed.nextDue { setTimer(of: queue, at: max(due, soonest)) }
        let due = queue.expiry.nextDue
        if due < .max { setTimer(of: queue, at: max(monotonic(due), soonest)) }
    }

    /// Notes when a new entry expires.
    @inline(__always)
    func noteDue(_ due: UInt64, of sequence: EntrySequence, in queue: Queue) {
        queue.expiry.note(sequence, due: due)
        if due < .max { setTimer(of: queue, at: monotonic(due)) }
    }

    /// When the wall clock will show a time, but for its jumps.
    private func monotonic(_ wall: UInt64) -> MonotonicTime {
        let now = now.wall.milliseconds
        let distance = wall > now ? Interval.milliseconds(min(wall - now, 60_000)) : .zero
        return self.now.monotonic.advanced(by: min(distance, Self.queueTimerMax))
    }

    // MARK: Leases

    private func endLeases(of subscription: Subscription) {
        let wasFree = subscription.isFree
        let overdue = subscription.inFlight.takeOverdue(now.monotonic)
        stats.ackTimeouts += overdue.count
        // Others may have waited for a message longer than this client has for credit.
        for queue in giveBack(overdue, of: subscription) { serve(queue) }
        if !wasFree, !overdue.isEmpty {
            if subscription.usesSharedCredit {
                serve(subscription.session)
            } else {
                serve(subscription)
            }
        }
        guard let next = subscription.inFlight.nextDeadline else { return }
        let soonest = now.monotonic.advanced(by: Self.leaseTimerMin)
        if let timer = subscription.timer, timer <= max(next, soonest) { return }
        setTimer(of: subscription, at: max(next, soonest))
    }

    // MARK: Delays

    private func releaseDelayed(of queue: Queue) {
        for entry in queue.delayed.takeDue(now.monotonic) {
            let reason = queue.death(
                isRejected: entry.isRejected,
                deliveryCount: entry.deliveryCount
            )
            if let reason {
                queue.setDying(
                    Queue.Dying(
                        sequence: entry.sequence,
                        deliveryCount: entry.deliveryCount,
                        reason: reason,
                        item: entry.item
                    )
                )
            } else if let item = entry.item {
                queue.putBack([item])
            } else if entry.sequence < queue.cursor {
                queue.putBack([
                    Queue.Returned(sequence: entry.sequence, deliveryCount: entry.deliveryCount)
                ])
            }
        }
    }

    // MARK: Expiry

    /// Ends what has expired, whether somebody wants it or not.
    private func sweep(_ queue: Queue) {
        guard queue.expiry.nextDue <= now.wall.milliseconds else { return }
        guard queue.isPersistent else {
            for item in queue.takeExpired(at: now.wall) { bury(item, of: queue, .expired) }
            return
        }
        for _ in 0..<Self.sweptRunsMax {
            guard queue.fetch == .none,
                let (from, end) = queue.expiry.firstDue(at: now.wall.milliseconds)
            else { return }
            let cursor = queue.cursor
            queue.fetch = .sweep(from, end: end, cursor: cursor)
            let limit = FetchLimit(messages: Queue.fetchMessagesMax, bytes: Queue.fetchBytesMax)
            var run = UniqueDeque<FetchedMessage>()
            guard let next = store.fetch(queue.id, from: from, limit: limit, into: &run) else {
                return
            }
            queue.fetch = .none
            takeSwept(&run, next: next, from: from, end: end, cursor: cursor, of: queue)
        }
    }

    /// Ends what a fetch found to have expired, and notes when the rest of the run does.
    func takeSwept(
        _ run: inout UniqueDeque<FetchedMessage>,
        next runEnd: EntrySequence,
        from: EntrySequence,
        end: EntrySequence?,
        cursor: EntrySequence,
        of queue: Queue
    ) {
        let wall = now.wall.milliseconds
        var nextDue = UInt64.max
        var next = runEnd
        var bytes = queue.readyBytes
        let isRefused = refusesExpired(of: queue)
        while let item = run.popFirst(), end.map({ item.sequence < $0 }) ?? true {
            guard item.sequence < queue.durableEnd else {
                next = min(next, item.sequence)
                break
            }
            let due = queue.due(item)
            if due > wall {
                nextDue = min(nextDue, due)
            } else if isRefused {
                // They stay where they are: nobody gets them anyway.
                nextDue = min(nextDue, wall + Self.refusedSweepMilliseconds)
            } else if queue.takeExpired(item.sequence, cursor: cursor) {
                fetchedBytes -= bytes - queue.readyBytes
                bytes = queue.readyBytes
                bury(item, of: queue, .expired)
            } else {
                let isLetGo = item.sequence >= queue.cursor
                nextDue = min(nextDue, wall + (isLetGo ? 1000 : Queue.inFlightSweepMilliseconds))
            }
        }
        if next <= from {
            // Not durable yet, or a store that does not get on: later.
            queue.expiry.swept(from: from, to: from, isWhole: true, due: wall + 1000)
            return
        }
        let isWhole = next >= end ?? queue.appendedEnd
        queue.expiry.swept(from: from, to: next, isWhole: isWhole, due: nextDue)
    }
}

extension MonotonicTime {
    /// A time that never comes.
    static let never = MonotonicTime(nanoseconds: .max)
}
