import Glibc

/// The operating system's files.
///
/// One of the few places with unsafe pointers.
package struct PosixFileSystem: FileSystem {
    /// A file descriptor.
    package struct File: BitwiseCopyable, Sendable {
        let descriptor: Int32
    }

    package init() {}

    package func open(_ path: String, _ mode: FileMode) throws(FileError) -> File {
        // O_NONBLOCK means nothing to files; a pipe of that name must not hold the caller for ever.
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY | O_CLOEXEC | O_NONBLOCK
            case .update: O_RDWR | O_CLOEXEC | O_NONBLOCK
            case .create: O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
            }
        while true {
            let descriptor = Glibc.open(path, flags, 0o640)
            if descriptor >= 0 { return File(descriptor: descriptor) }
            if errno != EINTR { throw failure("open", path) }
        }
    }

    package func close(_ file: File) {
        _ = Glibc.close(file.descriptor)
    }

    package func read(
        _ file: File,
        at offset: Int,
        into span: inout OutputRawSpan
    ) throws(FileError) {
        var position = offset
        while span.freeCapacity > 0 {
            let count = span.withUnsafeMutableBytes { buffer, initialized in
                guard let base = buffer.baseAddress else { return 0 }
                let count = pread(
                    file.descriptor,
                    base + initialized,
                    buffer.count - initialized,
                    off_t(position)
                )
                if count > 0 { initialized += count }
                return count
            }
            if count == 0 { return }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("read", path(of: file))
            }
            position += count
        }
    }

    package func write(_ file: File, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        var done = 0
        while done < bytes.byteCount {
            let count = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map {
                    pwrite(file.descriptor, $0 + done, buffer.count - done, off_t(offset + done))
                } ?? 0
            }
            if count < 0 {
                if errno == EINTR || usesCacheAgain(file) { continue }
                throw failure("write", path(of: file))
            }
            done += count
        }
    }

    package func descriptor(of file: File) -> Int32? { file.descriptor }

    package func bypassCache(_ file: File) -> Bool {
        let flags = fcntl(file.descriptor, F_GETFL)
        // Files that do not block would be written at once by the ring also where the file system does
        // block.
        return flags >= 0
            && fcntl(file.descriptor, F_SETFL, (flags | O_DIRECT) & ~O_NONBLOCK) == 0
    }

    /// True if the file was to be written past the system's memory, which it is not any more: a disk
    /// with other blocks refuses only the write.
    private func usesCacheAgain(_ file: File) -> Bool {
        let error = errno
        guard error == EINVAL || error == EOPNOTSUPP else { return false }
        let flags = fcntl(file.descriptor, F_GETFL)
        defer { errno = error }
        return flags >= 0 && flags & O_DIRECT != 0
            && fcntl(file.descriptor, F_SETFL, flags & ~O_DIRECT) == 0
    }

    package func syncData(_ file: File) throws(FileError) {
        // Not repeated on any error: after a failed sync the kernel may have dropped the pages.
        if fdatasync(file.descriptor) != 0 { throw failure("fdatasync", path(of: file)) }
    }

    package func syncDirectory(_ directory: String) throws(FileError) {
        let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", directory) }
        defer { _ = Glibc.close(descriptor) }
        if fsync(descriptor) != 0 { throw failure("fsync", directory) }
    }

    package func size(_ file: File) throws(FileError) -> Int {
        var status = stat()
        guard fstat(file.descriptor, &status) == 0 else { throw failure("stat", path(of: file)) }
        return Int(status.st_size)
    }

    package func truncate(_ file: File, to length: Int) throws(FileError) {
        if ftruncate(file.descriptor, off_t(length)) != 0 {
            throw failure("truncate", path(of: file))
        }
    }

    package func rename(_ path: String, to newPath: String) throws(FileError) {
        if Glibc.rename(path, newPath) != 0 { throw failure("rename", path) }
    }

    package func link(_ path: String, to newPath: String) throws(FileError) {
        if Glibc.link(path, newPath) != 0 { throw failure("link", newPath) }
    }

    package func linkCount(_ path: String) throws(FileError) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure("stat", path) }
        return Int(status.st_nlink)
    }

    package func isSymbolicLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    package func remove(_ path: String) throws(FileError) {
        if unlink(path) != 0 { throw failure("remove", path) }
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        guard let stream = opendir(directory) else { throw failure("list", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    package func createDirectory(_ path: String) throws(FileError) {
        if mkdir(path, 0o750) == 0 { return }
        if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try createDirectory(String(path[..<slash]))
            if mkdir(path, 0o750) == 0 { return }
        }
        guard errno == EEXIST else { throw failure("create directory", path) }
    }

    package func lock(_ path: String) throws(FileError) -> File {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        return try lock(descriptor, path)
    }

    package func lockExisting(_ path: String) throws(FileError) -> File {
        var descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0, errno == EACCES || errno == EROFS || errno == EPERM {
            descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        }
        return try lock(descriptor, path)
    }

    private func lock(_ descriptor: Int32, _ path: String) throws(FileError) -> File {
        guard descriptor >= 0 else { throw failure("open", path) }
        var pausesLeft = Self.lockPauses
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK, pausesLeft > 0 else {
                let error = failure("lock", path)
                _ = Glibc.close(descriptor)
                throw error
            }
            pausesLeft -= 1
            usleep(Self.lockPauseMicroseconds)
        }
        return File(descriptor: descriptor)
    }

    /// A second: what a killed process wrote by a ring keeps the lock until the disk has it, and some
    /// tens of milliseconds more (`WriteRing.hold`).
    private static let lockPauses = 100
    private static let lockPauseMicroseconds: UInt32 = 10_000

    package func freeBytes(_ directory: String) throws(FileError) -> Int {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { throw failure("statvfs", directory) }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }

    /// The path that the system knows for an open file; for messages only.
    private func path(of file: File) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let saved = errno
        let count = readlink("/proc/self/fd/\(file.descriptor)", &buffer, buffer.count - 1)
        errno = saved
        guard count > 0 else { return "descriptor \(file.descriptor)" }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func failure(_ operation: String, _ path: String) -> FileError {
        FileError(code: errno, operation: operation, path: path)
    }
}

extension FileError {
    /// From the system's error number.
    init(code: Int32, operation: String, path: String) {
        let reason: FileError.Reason =
            switch code {
            case ENOENT: .notFound
            case EEXIST: .exists
            case ENOSPC, EDQUOT: .noSpace
            case EWOULDBLOCK: .locked
            case EROFS: .readOnly
            case EACCES, EPERM: .notPermitted
            case EMFILE, ENFILE: .tooManyOpenFiles
            default: .other(code)
            }
        self.init(
            reason: reason,
            operation: operation,
            path: path,
            detail: String(cString: strerror(code))
        )
    }
}
