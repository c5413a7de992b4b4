import DequeModule

/// A connection whose unfinished frames are counted.
///
/// Confinement: broker loop.
protocol FrameReceiver: AnyObject {
    /// True from when it was told to wait until `resumeReading`; what was read before may still come.
    var isWaitingForMemory: Bool { get }

    /// Reads again; it had to wait for memory.
    func resumeReading()
}

/// What the unfinished frames of all connections take in memory, and who must wait for some.
///
/// Each connection may have a large frame under way, and all together could fill the memory. Past
/// `bytesMax` those whose frame is larger than `bytesFree` are not read any more, but for one at a
/// time: it may finish its frame, so that the memory comes back without anybody being refused. The
/// bound that holds is `bytesMax`, one more frame, and `bytesFree` for each connection, each with
/// what one read event brings.
///
/// Confinement: broker loop.
package final class FrameMemory {
    /// `[limits] unfinished_frame_bytes`.
    package var bytesMax = 256 << 20
    /// The sum over all connections.
    package private(set) var bytes = 0
    /// What waits behind logins that are being checked.
    ///
    /// Apart from the frames: strangers must not make senders wait.
    package private(set) var keptBytes = 0
    private var waiting = Deque<any FrameReceiver>()
    /// The one that may go on although there is too much already.
    private var preferred: (any FrameReceiver)?

    /// A frame up to this size never waits: small messages pass whatever others do.
    static let bytesFree = 16 << 10

    package init() {}

    var isFull: Bool { bytes > bytesMax }

    /// Notes that a connection's unfinished frame takes `new` bytes instead of `old`; false if it must
    /// not read on, until `resumeReading` is called.
    ///
    /// `mayBePreferred`: false for one that has not logged in, which might never finish its frame.
    func change(
        of receiver: any FrameReceiver,
        from old: Int,
        to new: Int,
        mayBePreferred: Bool = true
    ) -> Bool {
        let wasFull = isFull
        bytes += new - old
        // Nobody waits then.
        if !wasFull && !isFull { return true }
        guard isFull, new > Self.bytesFree else {
            if receiver.isWaitingForMemory {
                waiting.removeAll { $0 === receiver }
                receiver.resumeReading()
            }
            passOn(receiver)
            return true
        }
        if preferred == nil, mayBePreferred { preferred = receiver }
        if preferred === receiver { return true }
        if !receiver.isWaitingForMemory { waiting.append(receiver) }
        return false
    }

    /// All that may wait behind logins, as a part of `bytesMax`.
    var keptBytesMax: Int { bytesMax / 4 }

    /// Notes that `new` bytes wait behind a login instead of `old`; false, and nothing noted, if
    /// that is too much for all logins together.
    func keep(_ new: Int, insteadOf old: Int) -> Bool {
        guard new <= old || keptBytes + new - old <= keptBytesMax else { return false }
        keptBytes += new - old
        return true
    }

    /// Forgets a connection that takes nothing any more.
    func remove(_ receiver: any FrameReceiver, bytes old: Int) {
        bytes -= old
        if receiver.isWaitingForMemory { waiting.removeAll { $0 === receiver } }
        passOn(receiver)
    }

    /// Lets others read that had to wait for this one.
    private func passOn(_ receiver: any FrameReceiver) {
        if preferred === receiver { preferred = nil }
        if !isFull {
            preferred = nil
            while let next = waiting.popFirst() { next.resumeReading() }
        } else if preferred == nil, let next = waiting.popFirst() {
            preferred = next
            next.resumeReading()
        }
    }
}
