import Base

/// One line on standard error that grows while work is done; nothing where nobody watches.
///
/// Confinement: one verb.
final class ProgressBar {
    private static let width = 30
    private static let pause = Duration.milliseconds(100)

    private let isShown = Terminal.isInteractive
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var shownAt: ContinuousClock.Instant?

    init() {
        start = clock.now
    }

    /// Redraws the line, ten times a second at most.
    func show(done: Int, total: Int) {
        let now = clock.now
        guard isShown, total > 0, now - (shownAt ?? start) >= Self.pause else { return }
        shownAt = now
        let share = min(1, Double(done) / Double(total))
        let filled = Int(share * Double(Self.width))
        let elapsed = (now - start) / .seconds(1)
        let rate = Double(done) / max(elapsed, 0.001)
        let left = Int((Double(max(0, total - done)) / max(rate, 1)).rounded(.up))
        let bar =
            String(repeating: "#", count: filled)
            + String(repeating: ".", count: Self.width - filled)
        let line =
            "[\(bar)] \(Int(share * 100)) %  \(ByteCount(Int(rate)))/s  "
            + "\(left / 60):\(left % 60 < 10 ? "0" : "")\(left % 60) left"
        Terminal.write("\r\u{1B}[K" + line)
    }

    /// Takes the line away.
    func clear() {
        guard isShown, shownAt != nil else { return }
        shownAt = nil
        Terminal.write("\r\u{1B}[K")
    }
}
