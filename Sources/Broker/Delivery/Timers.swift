import Base
import HeapModule

/// What is to be looked at when its time comes.
enum TimerTarget {
    /// A subscription whose deliveries may have been held for too long.
    case leases(Subscription)
    /// A queue in which entries may be due to be delivered again, or to expire.
    case queue(Queue)
}

/// Times at which something is to be looked at.
///
/// Each target notes the time that counts for it; entries for other times lapse when they come up.
struct Timers {
    private struct Entry: Comparable {
        let at: MonotonicTime
        let target: TimerTarget

        static func < (left: Self, right: Self) -> Bool { left.at < right.at }
        static func == (left: Self, right: Self) -> Bool { left.at == right.at }
    }

    private var entries = Heap<Entry>()

    /// When `takeDue` has something to give.
    var next: MonotonicTime? { entries.min?.at }

    mutating func add(_ target: TimerTarget, at time: MonotonicTime) {
        entries.insert(Entry(at: time, target: target))
    }

    /// Takes one target whose time has come, with that time.
    mutating func takeDue(_ now: MonotonicTime) -> (target: TimerTarget, at: MonotonicTime)? {
        guard let first = entries.min, first.at <= now else { return nil }
        entries.removeMin()
        return (first.target, first.at)
    }
}
