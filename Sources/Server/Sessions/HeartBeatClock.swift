import Base

/// When one connection owes a heart-beat, and when its peer has been silent for too long.
///
/// Heart-beats go out on a fixed schedule, also between other frames, for some clients count nothing
/// else. The schedule is a quarter faster than agreed, to leave room for the ticks between.
struct HeartBeatClock: Sendable {
    enum Action: Equatable { case none, send, peerIsSilent }

    private let sendInterval: Interval?
    private let silenceMax: Interval?
    private var nextSend: MonotonicTime
    private var lastHeard: MonotonicTime

    /// Intervals as agreed with the peer, in milliseconds; nil for no heart-beats that way.
    ///
    /// The peer may be silent for twice its interval, and for `silenceMin` at least.
    init(
        sendMilliseconds: UInt64?,
        receiveMilliseconds: UInt64?,
        silenceMin: Interval = .zero,
        now: MonotonicTime
    ) {
        sendInterval = sendMilliseconds.map { Interval(nanoseconds: $0 * 750_000) }
        silenceMax = receiveMilliseconds.map { max(.milliseconds(2 * $0), silenceMin) }
        nextSend = now.advanced(by: sendInterval ?? .zero)
        lastHeard = now
    }

    /// How often `tick` must be called for the schedule to hold.
    var tickInterval: Interval {
        let shortest = min(
            sendInterval ?? .seconds(3600),
            silenceMax ?? .seconds(3600)
        )
        return Interval(nanoseconds: shortest.nanoseconds / 6)
    }

    /// Notes that bytes came in.
    mutating func heard(at now: MonotonicTime) { lastHeard = now }

    mutating func tick(_ now: MonotonicTime) -> Action {
        if let silenceMax, now.since(lastHeard) > silenceMax { return .peerIsSilent }
        guard let sendInterval, nextSend <= now else { return .none }
        nextSend = now.advanced(by: sendInterval)
        return .send
    }
}
