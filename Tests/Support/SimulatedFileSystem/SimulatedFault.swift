import Glibc
package import LogStore

/// The calls that a fault can be tied to.
package enum SimulatedOperation: CaseIterable, Sendable {
    case open, create, lock, read, write, syncData, syncDirectory, truncate, rename, remove
    case createDirectory, list, size, freeBytes

    /// True if the call can change what a crash leaves.
    ///
    /// Only these are counted as points at which a process can die: to die in another call is to die
    /// before the next of these.
    package var changesDisk: Bool {
        switch self {
        case .create, .lock, .write, .syncData, .syncDirectory, .truncate, .rename, .remove,
            .createDirectory:
            true
        case .open, .read, .list, .size, .freeBytes: false
        }
    }

    /// True if the call takes a file descriptor, if only for its own time.
    var opensFile: Bool {
        switch self {
        case .open, .create, .lock, .syncDirectory, .list: true
        case .read, .write, .syncData, .truncate, .rename, .remove, .createDirectory, .size,
            .freeBytes:
            false
        }
    }
}

/// An error that the simulated disk gives on command.
package struct SimulatedFault: Sendable {
    package let operation: SimulatedOperation
    package let reason: FileError.Reason
    /// How many matching calls succeed first.
    package var skip: Int
    /// How many matching calls fail then.
    package var times: Int
    /// Only calls whose path ends so; all when empty.
    package let pathSuffix: String
    /// A failing write writes a part first, as the contract allows.
    package let writesPart: Bool

    /// Creates a fault for the next matching call, or the one after `skip` others.
    package init(
        _ operation: SimulatedOperation,
        _ reason: FileError.Reason,
        skip: Int = 0,
        times: Int = 1,
        pathSuffix: String = "",
        writesPart: Bool = true
    ) {
        self.operation = operation
        self.reason = reason
        self.skip = skip
        self.times = times
        self.pathSuffix = pathSuffix
        self.writesPart = writesPart
    }

    /// Takes notice of a call and says whether it fails.
    mutating func strikes(_ operation: SimulatedOperation, _ path: String) -> Bool {
        guard self.operation == operation, times > 0 else { return false }
        guard pathSuffix.isEmpty || path.hasSuffix(pathSuffix) else { return false }
        if skip > 0 {
            skip -= 1
            return false
        }
        times -= 1
        return true
    }
}

/// A call that failed because it was told to.
package struct SimulatedStrike: Sendable, CustomStringConvertible {
    package let operation: SimulatedOperation
    package let path: String
    package let reason: FileError.Reason

    package var description: String { "\(operation) \(path) fails: \(reason)" }
}

/// What was done to a simulated disk since it was made.
package struct SimulatedCounters: Sendable, Equatable {
    package var reads = 0
    package var writes = 0
    package var bytesWritten = 0
    /// Successful `syncData` calls.
    package var syncs = 0
    package var directorySyncs = 0
    package var filesCreated = 0
    package var filesRemoved = 0
    package var renames = 0

    package init() {}
}

extension FileError {
    /// The error that every call gives once the simulated process is dead.
    package static let deadProcessCode: Int32 = 9_999

    /// True for the error of a simulated process that is dead.
    package var isDeadProcess: Bool { reason == .other(Self.deadProcessCode) }

    static func posix(_ code: Int32, _ operation: String, _ path: String) -> FileError {
        let reason: Reason =
            switch code {
            case ENOENT: .notFound
            case EEXIST: .exists
            case ENOSPC: .noSpace
            case EWOULDBLOCK: .locked
            case EROFS: .readOnly
            case EACCES: .notPermitted
            case EMFILE: .tooManyOpenFiles
            default: .other(code)
            }
        return FileError(
            reason: reason,
            operation: operation,
            path: path,
            detail: String(cString: strerror(code))
        )
    }

    static func simulated(
        _ reason: Reason,
        _ operation: SimulatedOperation,
        _ path: String
    ) -> FileError {
        FileError(
            reason: reason,
            operation: "\(operation)",
            path: path,
            detail: "simulated \(reason)"
        )
    }

    static func deadProcess(_ operation: SimulatedOperation, _ path: String) -> FileError {
        FileError(
            reason: .other(deadProcessCode),
            operation: "\(operation)",
            path: path,
            detail: "the simulated process is dead"
        )
    }
}
