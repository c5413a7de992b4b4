import Base
import Logging
import NIOCore
import StompCodec

/// What time alone brings.
extension StompSession {
    var tickInterval: Interval {
        heartBeats?.tickInterval
            ?? Interval(nanoseconds: options.connectTimeout.nanoseconds / 4)
    }

    func tick() -> Interval {
        let now = loop.now.monotonic
        switch state {
        case .awaitingConnect:
            if now > deadline {
                giveUpWaiting()
            }
        case .loggingIn:
            break
        case .connected:
            tickHeartBeats(now)
            tickUnfinished(now)
        case .draining, .lingering:
            if state == .lingering { lookAtOutput(now) }
            if now >= deadline { context?.close(promise: nil) }
            return options.lingerTime
        case .closed:
            break
        }
        return tickInterval
    }

    /// Gives a client that still reads the time to read all.
    private func lookAtOutput(_ now: MonotonicTime) {
        guard let context else { return }
        let left = context.bufferedByteCount
        if left == 0, isInputClosed {
            context.close(promise: nil)
        } else if left == 0, lingeringBytes > 0 {
            lingeringBytes = 0
            deadline = now.advanced(by: options.lingerTime)
        } else if left > 0, lingeringBytes == .max || left + Self.progressBytesMin <= lingeringBytes
        {
            lingeringBytes = left
            deadline = now.advanced(by: options.drainTime)
        }
    }

    /// What a client must have read within `drainTime` to be given more of it.
    private static let progressBytesMin = 32 << 10

    /// Ends a connection that did not get as far as its CONNECT.
    private func giveUpWaiting() {
        let limit = "connect_timeout = \(options.connectTimeout.milliseconds) ms"
        guard let handshake else {
            fail("no CONNECT", "No CONNECT frame came within \(limit).")
            return
        }
        loop.logRefusal(
            "client refused",
            [LogKeys.peer: "\(peer)", LogKeys.reason: "no \(handshake.rawValue) within \(limit)"]
        )
        context?.close(promise: nil)
    }

    private func tickHeartBeats(_ now: MonotonicTime) {
        if !pause.isEmpty { heartBeats?.heard(at: now) }
        switch heartBeats?.tick(now) {
        case .none?, nil: break
        case .send?:
            // A client that does not read gets no more bytes to wait for.
            if !pause.contains(.outbound) { write { $0.writeHeartBeat(into: &$1) } }
        case .peerIsSilent?:
            fail("no heart-beat", "Nothing was received for twice the agreed interval.")
        }
    }
}
