import CRing
import Glibc

// Writes by the system's ring. One of the few places with unsafe pointers.
//
// Invariant: the bytes of a write that was started live, unchanged, until its outcome was taken or the
// ring is closed: `blocks` holds their buffer, and who owns the buffer does not touch it before.

/// Writes bytes and has them synced while the caller goes on, without a thread: io_uring.
///
/// It saves small groups two wake-ups of threads. One write at a time.
/// Confinement: broker loop, `close` included.
package final class WriteRing {
    private let ring: OpaquePointer
    private var blocks: BlockBuffer.Blocks?
    private var isClosed = false

    /// How a write ended.
    enum Outcome: Equatable {
        /// All bytes are on stable storage.
        case durable
        /// The system did not do it, and nothing was lost by that: another way may be tried. Lasting: so
        /// it will be every time.
        case refused(isLasting: Bool)
        /// As after a failed sync, nothing is known of what was written.
        case failed(Int32)
    }

    /// Nil where the system has none, or does not let this process use it.
    package init?() {
        guard let ring = radiator_ring_open() else { return nil }
        self.ring = ring
    }

    deinit {
        if !isClosed { radiator_ring_close(ring) }
    }

    /// An eventfd that is readable when a write has ended.
    ///
    /// It belongs to the ring.
    package var descriptor: Int32 { radiator_ring_descriptor(ring) }

    /// Keeps a lock until no write of the ring is under way, even if the process is killed.
    ///
    /// The system carries out what a killed process started, and closes that process's files before: the
    /// next one must not read, or continue, a file that may still change. False if the system refuses.
    func hold(lock file: Int32) -> Bool { radiator_ring_hold(ring, file) }

    /// Starts a write; false, and nothing done, if the system refuses.
    func start(_ file: Int32, at offset: Int, _ blocks: BlockBuffer.Blocks) -> Bool {
        let bytes = blocks.bytes
        guard let count = UInt32(exactly: bytes.count), self.blocks == nil,
            radiator_ring_start(ring, file, bytes.baseAddress, count, UInt64(offset)) == 0
        else { return false }
        self.blocks = blocks
        return true
    }

    /// How the write that was started ended; nil while it goes on, or if none was started.
    func takeOutcome() -> Outcome? {
        var result: Int32 = 0
        guard let blocks, radiator_ring_take(ring, &result) else { return nil }
        self.blocks = nil
        switch -result {
        case EINVAL, EOPNOTSUPP, ECANCELED: return .refused(isLasting: true)
        case ENOSPC, EDQUOT, EAGAIN, EINTR, ENOMEM: return .refused(isLasting: false)
        case let error where error > 0: return .failed(error)
        default:
            return Int(result) == blocks.bytes.count ? .durable : .refused(isLasting: false)
        }
    }

    /// Waits for the write that was started, and lets go of everything.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        radiator_ring_close(ring)
        blocks = nil
    }
}
