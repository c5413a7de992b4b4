package import Base
import Glibc

/// The daemon's one reading of the system's clocks.
package enum SystemClock {
    /// Both clocks, read together.
    package static func now() -> Instant {
        Instant(
            monotonic: MonotonicTime(nanoseconds: read(CLOCK_MONOTONIC)),
            wall: WallTime(milliseconds: read(CLOCK_REALTIME) / 1_000_000)
        )
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
