/// A reading of a clock that never goes back; nanoseconds since an arbitrary start.
///
/// Only differences mean anything. Deterministic code takes it as an argument.
package struct MonotonicTime: Comparable, Hashable, Sendable {
    package let nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    // Written out, or every comparison in another module is a call through a table.
    @inlinable
    package static func == (left: Self, right: Self) -> Bool {
        left.nanoseconds == right.nanoseconds
    }

    @inlinable
    package static func < (left: Self, right: Self) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    @inlinable
    package static func <= (left: Self, right: Self) -> Bool {
        left.nanoseconds <= right.nanoseconds
    }

    /// The time `duration` later; stops at the largest representable time.
    package func advanced(by duration: Interval) -> MonotonicTime {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.nanoseconds)
        return MonotonicTime(nanoseconds: overflow ? .max : sum)
    }

    /// The time since `earlier`; zero when `earlier` is later.
    package func since(_ earlier: MonotonicTime) -> Interval {
        Interval(
            nanoseconds: nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
        )
    }
}

/// Milliseconds since 1970 by the system's clock, which may jump.
package struct WallTime: Comparable, Hashable, Sendable {
    package let milliseconds: UInt64

    package init(milliseconds: UInt64) {
        self.milliseconds = milliseconds
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.milliseconds < right.milliseconds
    }
}

/// What deterministic code is told about time: both clocks, read together once per turn.
package struct Instant: Sendable, Equatable {
    package let monotonic: MonotonicTime
    package let wall: WallTime

    package init(monotonic: MonotonicTime, wall: WallTime) {
        self.monotonic = monotonic
        self.wall = wall
    }
}

/// A length of time in nanoseconds, never negative.
package struct Interval: Comparable, Hashable, Sendable {
    package let nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    // As for `MonotonicTime`.
    @inlinable
    package static func == (left: Self, right: Self) -> Bool {
        left.nanoseconds == right.nanoseconds
    }

    package static let zero = Interval(nanoseconds: 0)

    package static func milliseconds(_ count: UInt64) -> Interval {
        Interval(nanoseconds: count * 1_000_000)
    }

    package static func seconds(_ count: UInt64) -> Interval {
        Interval(nanoseconds: count * 1_000_000_000)
    }

    package var milliseconds: UInt64 { nanoseconds / 1_000_000 }

    @inlinable
    package static func < (left: Self, right: Self) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Interval: CustomStringConvertible {
    private static let units: [(name: String, nanoseconds: UInt64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
    ]

    /// Reads a whole number with its unit (ms, s, m, h), or nothing if it is none: `50ms`, `0s`.
    package init?(parsing text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard let number = UInt64(digits),
            let factor = Self.units.first(where: { $0.name == unit })?.nanoseconds
        else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        self.init(nanoseconds: product)
    }

    /// The largest unit that divides it: `50ms`, `10s`; below a millisecond `1500ns`.
    package var description: String {
        if nanoseconds == 0 { return "0s" }
        let unit = Self.units.first { nanoseconds % $0.nanoseconds == 0 }
        guard let unit else { return "\(nanoseconds)ns" }
        return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
    }
}
