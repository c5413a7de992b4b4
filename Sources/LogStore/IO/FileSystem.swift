// The one door to files. The engine is generic over it, so that the POSIX form is specialised and
// costs nothing, and a simulated form can forget, tear, reorder and refuse.

/// Every file operation that the engine uses.
///
/// All calls block. An implementation may be called from several threads at once, but one file is
/// written by one thread at a time. Paths are absolute or relative to the process.
package protocol FileSystem: Sendable {
    /// An open file. The caller closes it exactly once.
    associatedtype File: BitwiseCopyable & Sendable

    /// Opens a file. `.create` fails if it exists; the others fail if it does not.
    func open(_ path: String, _ mode: FileMode) throws(FileError) -> File

    /// Closes a file; what was not synced may be lost in a power cut.
    func close(_ file: File)

    /// Reads up to `span.freeCapacity` bytes at `offset` and appends them; fewer only at the file's end.
    func read(_ file: File, at offset: Int, into span: inout OutputRawSpan) throws(FileError)

    /// Writes all of `bytes` at `offset`, extending the file as needed. After an error any part may
    /// have been written.
    func write(_ file: File, at offset: Int, _ bytes: RawSpan) throws(FileError)

    /// Returns once the file's bytes, and the length needed to read them, are on stable storage.
    ///
    /// After an error nothing is known about any write since the last success, and no later success
    /// may be believed for them.
    func syncData(_ file: File) throws(FileError)

    /// Returns once the names in `directory` (created, renamed, removed) are on stable storage.
    func syncDirectory(_ directory: String) throws(FileError)

    /// The file's length in bytes.
    func size(_ file: File) throws(FileError) -> Int

    /// Cuts or extends (with zeros) the file to `length`.
    func truncate(_ file: File, to length: Int) throws(FileError)

    /// Gives a file a new name, replacing a file of that name atomically.
    func rename(_ path: String, to newPath: String) throws(FileError)

    /// Removes a file.
    func remove(_ path: String) throws(FileError)

    /// The names in a directory, in no order, without `.` and `..`.
    func list(_ directory: String) throws(FileError) -> [String]

    /// Creates a directory and its missing parents; succeeds if it is there.
    func createDirectory(_ path: String) throws(FileError)

    /// Takes the one lock of `path` for this process, creating the file; fails with `.locked` while
    /// another holds it, after having waited a second at most. The lock ends when the file is closed, or
    /// the process dies and nothing that it wrote is under way any more.
    func lock(_ path: String) throws(FileError) -> File

    /// Takes the same lock of a file that exists, without changing anything; reading rights are enough.
    func lockExisting(_ path: String) throws(FileError) -> File

    /// Gives a file a second name on the same disk; the two are one file from then on.
    func link(_ path: String, to newPath: String) throws(FileError)

    /// How many names a file has.
    func linkCount(_ path: String) throws(FileError) -> Int

    /// Whether a path is a symbolic link, wherever that leads; false if there is nothing.
    func isSymbolicLink(_ path: String) -> Bool

    /// Has all further writes of an open file go to the disk past the system's memory, in whole blocks:
    /// offset, length and place in memory must be multiples of `BlockBuffer.blockBytes`, and the file is
    /// not read any more.
    ///
    /// False, and nothing changed, where that cannot be.
    func bypassCache(_ file: File) -> Bool

    /// The system's number of an open file, for calls of the system itself; nil where it has none.
    func descriptor(of file: File) -> Int32?

    /// Bytes that may still be written to the disk that holds `directory`.
    func freeBytes(_ directory: String) throws(FileError) -> Int
}

extension FileSystem {
    /// For file systems whose `lock` changes nothing when the file is there and has no rights.
    package func lockExisting(_ path: String) throws(FileError) -> File { try lock(path) }

    /// For file systems without second names.
    package func link(_ path: String, to newPath: String) throws(FileError) {
        throw FileError(
            reason: .notPermitted,
            operation: "link",
            path: newPath,
            detail: "a file has one name here"
        )
    }

    /// For file systems without second names.
    package func linkCount(_ path: String) throws(FileError) -> Int { 1 }

    /// For file systems that keep nothing in memory, or do nothing else.
    package func bypassCache(_ file: File) -> Bool { false }

    /// For file systems that are not the system's.
    package func descriptor(of file: File) -> Int32? { nil }

    /// For file systems without symbolic links.
    package func isSymbolicLink(_ path: String) -> Bool { false }
}

/// How a file is opened.
package enum FileMode: Sendable {
    /// For reading; must exist.
    case read
    /// For reading and writing; must exist.
    case update
    /// For reading and writing; must not exist.
    case create
}

/// What the disk refused: which call, on which path, and why.
package struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Reasons that the engine tells apart.
    package enum Reason: Equatable, Sendable {
        case notFound
        case exists
        case noSpace
        case locked
        case readOnly
        case notPermitted
        case tooManyOpenFiles
        /// Everything else, by the system's error number.
        case other(Int32)
    }

    package let reason: Reason
    /// The failed call in words: "write", "fdatasync".
    package let operation: String
    package let path: String
    /// The system's text for the error.
    package let detail: String

    package init(reason: Reason, operation: String, path: String, detail: String) {
        self.reason = reason
        self.operation = operation
        self.path = path
        self.detail = detail
    }

    package var description: String { "\(operation) \(path): \(detail)" }

    /// Whether this very file cannot be read, whoever tries and whenever: a bad disk, or something that
    /// is no file.
    var spoilsOneFile: Bool {
        // EIO, ENXIO, EISDIR, ELOOP, EBADMSG, EUCLEAN, by number: the seam knows no system.
        if case .other(let number) = reason {
            [5, 6, 21, 40, 74, 117].contains(number)
        } else {
            false
        }
    }
}
