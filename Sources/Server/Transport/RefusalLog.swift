import Base
import Logging

/// Log lines about connections that never got as far as a frame.
///
/// Anybody who reaches the port can cause them, so only some of a burst are written. The next line
/// says how many were not.
///
/// Confinement: broker loop.
final class RefusalLog {
    private let logger: Logger
    private var windowEnd = MonotonicTime(nanoseconds: 0)
    private var writtenCount = 0
    private var skippedCount = 0

    private static let window = Interval.seconds(10)
    private static let linesMax = 10

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// Writes one line, unless there were many in the last seconds.
    func write(_ text: String, peer: String, reason: String, now: MonotonicTime) {
        if now >= windowEnd {
            windowEnd = now.advanced(by: Self.window)
            writtenCount = 0
        }
        guard writtenCount < Self.linesMax else {
            skippedCount += 1
            return
        }
        writtenCount += 1
        var metadata: Logger.Metadata = [
            LogKeys.peer: "\(peer)", LogKeys.reason: "\(reason)",
        ]
        if skippedCount > 0 { metadata[LogKeys.skipped] = "\(skippedCount)" }
        skippedCount = 0
        logger.info("\(text)", metadata: metadata)
    }
}
