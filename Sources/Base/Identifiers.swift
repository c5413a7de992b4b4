// Compared several times for each message, in other modules: so they are inlinable, and sequences have every
// operator, for the ones that `Comparable` adds are looked up when they run.

/// Names one queue for good: given out by the store when the queue is declared, never used again.
///
/// It stands in `Base` because it is the one word that both sides of the store seam must share.
package struct QueueID: Hashable, Comparable, Sendable {
    package let value: UInt32

    @inlinable
    package init(_ value: UInt32) {
        self.value = value
    }

    @inlinable
    package static func == (left: Self, right: Self) -> Bool { left.value == right.value }

    @inlinable
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// An entry's number in its queue.
///
/// The first entry has 1; each further one has the next number.
package struct EntrySequence: Hashable, Comparable, Sendable {
    package let value: UInt64

    @inlinable
    package init(_ value: UInt64) {
        self.value = value
    }

    @inlinable
    package static func == (left: Self, right: Self) -> Bool { left.value == right.value }

    @inlinable
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }

    @inlinable
    package static func > (left: Self, right: Self) -> Bool { left.value > right.value }

    @inlinable
    package static func <= (left: Self, right: Self) -> Bool { left.value <= right.value }

    @inlinable
    package static func >= (left: Self, right: Self) -> Bool { left.value >= right.value }

    @inlinable
    package var next: EntrySequence { EntrySequence(value + 1) }
}
