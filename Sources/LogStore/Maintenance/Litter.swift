import Synchronization

/// Files that are of no use any more and could not be removed, for another try at the next look at the
/// disk.
///
/// Only for names that are never used again.
final class Litter<Files: FileSystem>: Sendable {
    private let files: Files
    private let paths = Mutex<[String]>([])

    init(_ files: Files) {
        self.files = files
    }

    /// Removes a file that may be there, now or later.
    func drop(_ path: String) {
        if !isGone(path) { paths.withLock { $0.append(path) } }
    }

    /// Tries again what failed.
    func clear() {
        let waiting = paths.withLock { paths in
            defer { paths = [] }
            return paths
        }
        for path in waiting { drop(path) }
    }

    private func isGone(_ path: String) -> Bool {
        do throws(FileError) {
            try files.remove(path)
            return true
        } catch {
            return error.reason == .notFound
        }
    }
}
