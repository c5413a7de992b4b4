import LogStore
import Synchronization

/// Files in memory that can be read and damaged, and that refuse every change through the seam.
final class MemoryFiles: FileSystem {
    typealias File = Int

    private struct State {
        var files: [String: [UInt8]] = [:]
        var open: [Int: [UInt8]] = [:]
        var next = 0
        var isLocked = false
    }

    private let state = Mutex(State())

    /// Takes over the files of a real directory; their paths are the bare names behind `/`.
    init(copying directory: String) throws {
        let files = PosixFileSystem()
        for name in try files.list(directory) {
            let file = try files.open(directory + "/" + name, .read)
            defer { files.close(file) }
            let size = try files.size(file)
            var bytes = [UInt8](repeating: 0, count: size)
            var span = bytes.mutableSpan
            try span.withUnsafeMutableBytes { buffer in
                var output = OutputRawSpan(buffer: buffer, initializedCount: 0)
                try files.read(file, at: 0, into: &output)
                _ = output.finalize(for: buffer)
            }
            state.withLock { $0.files["/" + name] = bytes }
        }
    }

    private init(_ files: [String: [UInt8]]) {
        state.withLock { $0.files = files }
    }

    func copy() -> MemoryFiles { MemoryFiles(state.withLock { $0.files }) }

    subscript(name: String) -> [UInt8]? {
        get { state.withLock { $0.files["/" + name] } }
        set { state.withLock { $0.files["/" + name] = newValue } }
    }

    var names: [String] { state.withLock { $0.files.keys.map { String($0.dropFirst()) }.sorted() } }

    /// As if a daemon held the lock.
    func holdLock() { state.withLock { $0.isLocked = true } }

    func error(_ reason: FileError.Reason, _ operation: String, _ path: String) -> FileError {
        FileError(reason: reason, operation: operation, path: path, detail: "\(reason)")
    }

    // MARK: FileSystem

    func open(_ path: String, _ mode: FileMode) throws(FileError) -> Int {
        guard case .read = mode else { throw error(.readOnly, "open", path) }
        let file = state.withLock { state -> Int? in
            guard let bytes = state.files[path] else { return nil }
            state.next += 1
            state.open[state.next] = bytes
            return state.next
        }
        guard let file else { throw error(.notFound, "open", path) }
        return file
    }

    func close(_ file: Int) { state.withLock { _ = $0.open.removeValue(forKey: file) } }

    func read(_ file: Int, at offset: Int, into span: inout OutputRawSpan) throws(FileError) {
        let bytes = state.withLock { $0.open[file] ?? [] }
        let count = min(span.freeCapacity, max(0, bytes.count - offset))
        span.withUnsafeMutableBytes { target, initialized in
            bytes.withUnsafeBytes { source in
                guard count > 0, let from = source.baseAddress, let to = target.baseAddress else {
                    return
                }
                (to + initialized).copyMemory(from: from + offset, byteCount: count)
                initialized += count
            }
        }
    }

    func size(_ file: Int) throws(FileError) -> Int {
        state.withLock { $0.open[file]?.count ?? 0 }
    }

    func list(_ directory: String) throws(FileError) -> [String] { names }

    func lockExisting(_ path: String) throws(FileError) -> Int {
        if state.withLock({ $0.isLocked }) { throw error(.locked, "lock", path) }
        return try open(path, .read)
    }

    func lock(_ path: String) throws(FileError) -> Int { throw error(.readOnly, "lock", path) }

    func write(_ file: Int, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        throw error(.readOnly, "write", "")
    }

    func syncData(_ file: Int) throws(FileError) { throw error(.readOnly, "fdatasync", "") }

    func syncDirectory(_ directory: String) throws(FileError) {
        throw error(.readOnly, "fsync", directory)
    }

    func truncate(_ file: Int, to length: Int) throws(FileError) {
        throw error(.readOnly, "truncate", "")
    }

    func rename(_ path: String, to newPath: String) throws(FileError) {
        throw error(.readOnly, "rename", path)
    }

    func remove(_ path: String) throws(FileError) { throw error(.readOnly, "remove", path) }

    func createDirectory(_ path: String) throws(FileError) {
        throw error(.readOnly, "create directory", path)
    }

    func freeBytes(_ directory: String) throws(FileError) -> Int { 0 }
}
