import Base

/// One line on standard error that grows while work is done; nothing where nobody watches.
///
/// Confinement: one verb.
final class ProgressBar {
    private static let width = 30
    private static let pause = Duration.milliseconds(100)
    private static let lineInterval = Duration.seconds(10)

    private let isShown = Terminal.isInteractive
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var shownAt: ContinuousClock.Instant?
    private var toldAt: ContinuousClock.Instant?
    private var share = 0.0

    init() {
        start = clock.now
    }

    /// Redraws the line, ten times a second at most.
    func show(done: Int, total: Int) {
        let now = clock.now
        guard isShown, total > 0, now - (shownAt ?? start) >= Self.pause else { return }
        shownAt = now
        share = min(1, Double(done) / Double(total))
        let elapsed = (now - start) / .seconds(1)
        let rate = Double(done) / max(elapsed, 0.001)
        let left = Int((Double(max(0, total - done)) / max(rate, 1)).rounded(.up))
        draw(
            "\(ByteCount(Int(rate)))/s  "
                + "\(left / 60):\(left % 60 < 10 ? "0" : "")\(left % 60) left"
        )
    }

    /// Redraws the line with a text instead of the rate, ten times a second at most.
    ///
    /// Where nobody watches it is a line of its own, every ten seconds, for the log that is left if the
    /// process is killed.
    func show(_ text: @autoclosure () -> String) {
        let now = clock.now
        if isShown, now - (shownAt ?? start) >= Self.pause {
            shownAt = now
            draw(text())
        } else if !isShown, now - (toldAt ?? start) >= Self.lineInterval {
            toldAt = now
            Terminal.complain("radiator-log: " + text())
        }
    }

    private func draw(_ text: String) {
        let filled = Int(share * Double(Self.width))
        let bar =
            String(repeating: "#", count: filled)
            + String(repeating: ".", count: Self.width - filled)
        Terminal.write("\r\u{1B}[K[\(bar)] \(Int(share * 100)) %  " + text)
    }

    /// Takes the line away.
    func clear() {
        guard isShown, shownAt != nil else { return }
        shownAt = nil
        Terminal.write("\r\u{1B}[K")
    }
}
