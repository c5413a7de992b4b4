import LogStore
import Synchronization

/// Files in memory for thousands of short-lived stores: cheap to copy, writable, and every change is
/// noted.
///
/// What is written stays: crashes are for `SimulatedFileSystem`.
final class ScratchFiles: FileSystem {
    typealias File = Int

    private struct State {
        var names: [String: Int] = [:]
        var contents: [Int: [UInt8]] = [:]
        var locked: Set<Int> = []
        var next = 1
        var freeBytes = 1 << 40
        /// Calls that change the directory or what is in it.
        var changes: [String] = []
    }

    private let state: Mutex<State>

    init() { state = Mutex(State()) }

    private init(_ other: State) {
        var copy = other
        copy.locked = []
        copy.changes = []
        state = Mutex(copy)
    }

    func copy() -> ScratchFiles { ScratchFiles(state.withLock { $0 }) }

    /// The bytes of a file by its whole path; nil: there is none.
    subscript(path: String) -> [UInt8]? {
        get { state.withLock { state in state.names[path].flatMap { state.contents[$0] } } }
        set {
            state.withLock { state in
                guard let newValue else {
                    state.names[path] = nil
                    return
                }
                let file = state.names[path] ?? state.next
                if file == state.next { state.next += 1 }
                state.names[path] = file
                state.contents[file] = newValue
            }
        }
    }

    /// Whole paths, sorted.
    var paths: [String] { state.withLock { $0.names.keys.sorted() } }

    var changes: [String] { state.withLock { $0.changes } }

    func setFreeBytes(_ count: Int) { state.withLock { $0.freeBytes = count } }

    private static func error(
        _ reason: FileError.Reason,
        _ operation: String,
        _ path: String
    ) -> FileError {
        FileError(reason: reason, operation: operation, path: path, detail: "\(reason)")
    }

    // MARK: FileSystem

    func open(_ path: String, _ mode: FileMode) throws(FileError) -> Int {
        let result = state.withLock { state -> Result<Int, FileError> in
            if let file = state.names[path] {
                if case .create = mode { return .failure(Self.error(.exists, "open", path)) }
                return .success(file)
            }
            guard case .create = mode else { return .failure(Self.error(.notFound, "open", path)) }
            let file = state.next
            state.next += 1
            state.names[path] = file
            state.contents[file] = []
            state.changes.append("create \(path)")
            return .success(file)
        }
        return try result.get()
    }

    func close(_ file: Int) { state.withLock { _ = $0.locked.remove(file) } }

    func read(_ file: Int, at offset: Int, into span: inout OutputRawSpan) throws(FileError) {
        state.withLock { state in
            guard let bytes = state.contents[file] else { return }
            let count = min(span.freeCapacity, max(0, bytes.count - offset))
            span.withUnsafeMutableBytes { target, initialized in
                bytes.withUnsafeBytes { source in
                    guard count > 0, let from = source.baseAddress, let to = target.baseAddress
                    else { return }
                    (to + initialized).copyMemory(from: from + offset, byteCount: count)
                    initialized += count
                }
            }
        }
    }

    func write(_ file: Int, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        let new = bytes.withUnsafeBytes { Array($0) }
        state.withLock { state in
            let end = offset + new.count
            let missing = end - (state.contents[file]?.count ?? 0)
            if missing > 0 {
                state.contents[file]?.append(contentsOf: [UInt8](repeating: 0, count: missing))
            }
            state.contents[file]?.replaceSubrange(offset..<end, with: new)
            state.changes.append("write \(file)")
        }
    }

    func syncData(_ file: Int) throws(FileError) {
        state.withLock { $0.changes.append("sync \(file)") }
    }

    func syncDirectory(_ directory: String) throws(FileError) {
        state.withLock { $0.changes.append("sync \(directory)") }
    }

    func size(_ file: Int) throws(FileError) -> Int {
        state.withLock { $0.contents[file]?.count ?? 0 }
    }

    func truncate(_ file: Int, to length: Int) throws(FileError) {
        state.withLock { state in
            let bytes = state.contents[file] ?? []
            state.contents[file] =
                Array(bytes.prefix(length))
                + [UInt8](repeating: 0, count: max(0, length - bytes.count))
            state.changes.append("truncate \(file)")
        }
    }

    func rename(_ path: String, to newPath: String) throws(FileError) {
        let isThere = state.withLock { state -> Bool in
            guard let file = state.names.removeValue(forKey: path) else { return false }
            state.names[newPath] = file
            state.changes.append("rename \(path)")
            return true
        }
        if !isThere { throw Self.error(.notFound, "rename", path) }
    }

    func remove(_ path: String) throws(FileError) {
        let isThere = state.withLock { state -> Bool in
            state.changes.append("remove \(path)")
            return state.names.removeValue(forKey: path) != nil
        }
        if !isThere { throw Self.error(.notFound, "remove", path) }
    }

    func list(_ directory: String) throws(FileError) -> [String] {
        state.withLock { state in
            state.names.keys.filter { $0.hasPrefix(directory + "/") }
                .map { String($0.dropFirst(directory.count + 1)) }
        }
    }

    func createDirectory(_ path: String) throws(FileError) {}

    func lock(_ path: String) throws(FileError) -> Int {
        if self[path] == nil { self[path] = [] }
        let file = try open(path, .update)
        let isFree = state.withLock { $0.locked.insert(file).inserted }
        if !isFree { throw Self.error(.locked, "lock", path) }
        return file
    }

    func freeBytes(_ directory: String) throws(FileError) -> Int { state.withLock { $0.freeBytes } }
}
