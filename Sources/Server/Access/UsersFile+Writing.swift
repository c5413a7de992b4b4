import Glibc

extension UsersFile {
    /// Changes a users file in one step: whoever reads it sees the old users or the new ones.
    ///
    /// Blocks, also while another command changes it. A file that is not there is made with mode 0600,
    /// unless `mustExist`; one that is there keeps its owner and group, and no more rights than 0640.
    /// `change` throws to leave it as it is. Throws what is wrong with the file, or why it could not be
    /// written; then the old one is as it was.
    package static func change<Result>(
        _ path: String,
        mustExist: Bool,
        _ change: (inout UsersFile) throws(ConfigurationError) -> Result
    ) throws(ConfigurationError) -> Result {
        let (directoryPath, name) = split(path)
        let directory = open(directoryPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw unwritable(directoryPath) }
        defer { close(directory) }
        // Locked until the descriptor is closed.
        guard flock(directory, LOCK_EX) == 0 else { throw unwritable(directoryPath) }
        let found = try read(path, followsLinks: false)
        if mustExist, found == nil { throw failure(path, "does not exist") }
        var users = found?.users ?? UsersFile()
        let result = try change(&users)
        guard users.hashes.count <= usersMax else {
            throw failure(path, "has as many users as it may: \(usersMax)")
        }
        try write(users.text, path, in: directory, name, like: found)
        return result
    }

    /// The directory that a path is in, and the name there.
    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
        let directory = String(path[..<slash])
        return (directory.isEmpty ? "/" : directory, String(path[path.index(after: slash)...]))
    }

    private static func write(
        _ text: String,
        _ path: String,
        in directory: Int32,
        _ name: String,
        like old: Found?
    ) throws(ConfigurationError) {
        let temporary = name + ".new"
        // What a command left behind that was killed; nobody else writes here while the lock is held.
        unlinkat(directory, temporary, 0)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let descriptor = openat(directory, temporary, flags, 0o600)
        guard descriptor >= 0 else { throw unwritable(path) }
        defer { close(descriptor) }
        do throws(ConfigurationError) {
            if let old {
                if old.owner != geteuid() || old.group != getegid(),
                    fchown(descriptor, old.owner, old.group) != 0
                {
                    throw unwritable(path, "its owner and group cannot be kept")
                }
                guard fchmod(descriptor, old.mode & 0o640) == 0 else { throw unwritable(path) }
            }
            guard put(text, descriptor), fsync(descriptor) == 0,
                renameat(directory, temporary, directory, name) == 0
            else { throw unwritable(path) }
        } catch {
            unlinkat(directory, temporary, 0)
            throw error
        }
        // Without it a power cut may bring the old file back.
        guard fsync(directory) == 0 else { throw unwritable(path) }
    }

    private static func put(_ text: String, _ descriptor: Int32) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            bytes = bytes.dropFirst(count)
        }
        return true
    }

    private static func unwritable(_ path: String, _ what: String? = nil) -> ConfigurationError {
        let reason = String(cString: strerror(errno))
        return failure(path, "cannot be written: " + (what.map { "\($0): " } ?? "") + reason)
    }
}
