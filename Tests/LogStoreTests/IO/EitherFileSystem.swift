import Glibc
import LogStore
import TestSupport
import Testing

/// The operating system's files or the simulated ones behind one type, so that one test runs on both.
enum EitherFileSystem: FileSystem {
    case posix(PosixFileSystem)
    case simulated(SimulatedFileSystem)

    enum File: BitwiseCopyable, Sendable {
        case posix(PosixFileSystem.File)
        case simulated(SimulatedFileSystem.File)
    }

    func open(_ path: String, _ mode: FileMode) throws(FileError) -> File {
        switch self {
        case .posix(let files): .posix(try files.open(path, mode))
        case .simulated(let files): .simulated(try files.open(path, mode))
        }
    }

    func close(_ file: File) {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): files.close(file)
        case (.simulated(let files), .simulated(let file)): files.close(file)
        default: fatalError("a file of the other kind")
        }
    }

    func read(_ file: File, at offset: Int, into span: inout OutputRawSpan) throws(FileError) {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): try files.read(file, at: offset, into: &span)
        case (.simulated(let files), .simulated(let file)):
            try files.read(file, at: offset, into: &span)
        default: fatalError("a file of the other kind")
        }
    }

    func write(_ file: File, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): try files.write(file, at: offset, bytes)
        case (.simulated(let files), .simulated(let file)):
            try files.write(file, at: offset, bytes)
        default: fatalError("a file of the other kind")
        }
    }

    func bypassCache(_ file: File) -> Bool {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): files.bypassCache(file)
        case (.simulated(let files), .simulated(let file)): files.bypassCache(file)
        default: fatalError("a file of the other kind")
        }
    }

    func descriptor(of file: File) -> Int32? {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): files.descriptor(of: file)
        case (.simulated(let files), .simulated(let file)): files.descriptor(of: file)
        default: fatalError("a file of the other kind")
        }
    }

    func syncData(_ file: File) throws(FileError) {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): try files.syncData(file)
        case (.simulated(let files), .simulated(let file)): try files.syncData(file)
        default: fatalError("a file of the other kind")
        }
    }

    func size(_ file: File) throws(FileError) -> Int {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): try files.size(file)
        case (.simulated(let files), .simulated(let file)): try files.size(file)
        default: fatalError("a file of the other kind")
        }
    }

    func truncate(_ file: File, to length: Int) throws(FileError) {
        switch (self, file) {
        case (.posix(let files), .posix(let file)): try files.truncate(file, to: length)
        case (.simulated(let files), .simulated(let file)): try files.truncate(file, to: length)
        default: fatalError("a file of the other kind")
        }
    }

    func syncDirectory(_ directory: String) throws(FileError) {
        switch self {
        case .posix(let files): try files.syncDirectory(directory)
        case .simulated(let files): try files.syncDirectory(directory)
        }
    }

    func rename(_ path: String, to newPath: String) throws(FileError) {
        switch self {
        case .posix(let files): try files.rename(path, to: newPath)
        case .simulated(let files): try files.rename(path, to: newPath)
        }
    }

    func remove(_ path: String) throws(FileError) {
        switch self {
        case .posix(let files): try files.remove(path)
        case .simulated(let files): try files.remove(path)
        }
    }

    func list(_ directory: String) throws(FileError) -> [String] {
        switch self {
        case .posix(let files): try files.list(directory)
        case .simulated(let files): try files.list(directory)
        }
    }

    func createDirectory(_ path: String) throws(FileError) {
        switch self {
        case .posix(let files): try files.createDirectory(path)
        case .simulated(let files): try files.createDirectory(path)
        }
    }

    func lock(_ path: String) throws(FileError) -> File {
        switch self {
        case .posix(let files): .posix(try files.lock(path))
        case .simulated(let files): .simulated(try files.lock(path))
        }
    }

    func freeBytes(_ directory: String) throws(FileError) -> Int {
        switch self {
        case .posix(let files): try files.freeBytes(directory)
        case .simulated(let files): try files.freeBytes(directory)
        }
    }
}

/// Which file system a contract test runs on.
enum FileSystemKind: CaseIterable, CustomTestStringConvertible {
    case posix
    case simulated

    var testDescription: String { "\(self)" }

    /// Runs `body` with an empty directory, and removes it afterwards.
    func run(_ body: (EitherFileSystem, String) throws -> Void) throws {
        switch self {
        case .posix:
            try withScratchDirectory { try body(.posix(PosixFileSystem()), $0) }
        case .simulated:
            let files = SimulatedFileSystem(seed: 1)
            try files.createDirectory("/data")
            try body(.simulated(files), "/data")
            #expect(files.openFileCount == 0, "the test left files open")
        }
    }
}

/// Runs `body` with a new directory of the operating system and removes it with all in it.
func withScratchDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/radiator-test-XXXXXX".utf8CString)
    let directory = String(cString: try #require(mkdtemp(&template)))
    defer { removeTree(directory) }
    try body(directory)
}

private func removeTree(_ path: String) {
    if let names = try? PosixFileSystem().list(path) {
        for name in names { removeTree("\(path)/\(name)") }
    }
    _ = Glibc.remove(path)
}

extension FileSystem {
    /// Opens, writes, and closes; for tests.
    func put(_ path: String, _ bytes: [UInt8], at offset: Int = 0, _ mode: FileMode) throws {
        let file = try open(path, mode)
        defer { close(file) }
        try write(file, at: offset, bytes.span.bytes)
    }

    /// Opens, reads at most `count` bytes, and closes; for tests.
    func get(_ path: String, at offset: Int = 0, count: Int = 1 << 20) throws -> [UInt8] {
        let file = try open(path, .read)
        defer { close(file) }
        return try bytes(of: file, at: offset, count: count)
    }

    /// Reads at most `count` bytes; for tests.
    func bytes(of file: File, at offset: Int = 0, count: Int = 1 << 20) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0xEE, count: count)
        let length = try buffer.withUnsafeMutableBytes { memory in
            var span = OutputRawSpan(buffer: memory, initializedCount: 0)
            try read(file, at: offset, into: &span)
            return span.finalize(for: memory)
        }
        return Array(buffer[..<length])
    }
}

/// The reason for which `body` fails, or nothing if it succeeds.
func reason(of body: () throws(FileError) -> Void) -> FileError.Reason? {
    do throws(FileError) {
        try body()
        return nil
    } catch {
        return error.reason
    }
}
