import Glibc
import Synchronization

/// Keeps a SIGHUP that comes before the daemon listens: it neither ends the process nor is forgotten.
package enum EarlyHangup {
    private static let hasCome = Atomic(false)

    /// Call first of all.
    package static func watch() {
        signal(SIGHUP) { _ in EarlyHangup.hasCome.store(true, ordering: .relaxed) }
    }

    /// Whether one came since the last call.
    static func take() -> Bool { hasCome.exchange(false, ordering: .relaxed) }
}
