import Glibc

/// Time since it was made.
struct Stopwatch {
    private let start = ContinuousClock.now

    var seconds: Double {
        let elapsed = (ContinuousClock.now - start).components
        return Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
    }
}

func pause(seconds: Double) { usleep(UInt32(seconds * 1e6)) }

/// Between two looks at something that will be so soon.
func pauseBriefly() { usleep(1000) }
