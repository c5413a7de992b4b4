import Glibc
import LogStore

/// The directory that a verb makes.
///
/// It is built beside its place, as `NAME.partial`, and gets its name when it is whole, so that an
/// interrupted verb never leaves something that looks like a store.
struct OutputDirectory {
    let path: String
    var partial: String { path + ".partial" }

    /// Checks that a directory may be made there, outside of `source`.
    init(_ path: String, apartFrom source: String? = nil) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        if path.isEmpty { throw ToolFailure("--out is empty; give it a directory's name") }
        try Self.checkPlace(path)
        if !(try Self.entries(path) ?? []).isEmpty {
            throw ToolFailure(
                "\(path) is there already and not empty; give --out a directory that does not exist"
            )
        }
        if try Self.entries(partial) != nil {
            throw ToolFailure(
                "\(partial) is there, left by an interrupted run or made by another one that still "
                    + "runs; remove it, or give --out another directory"
            )
        }
        if let source, let inside = Self.realPath(source), let place = Self.realPlace(path),
            place == inside || place.hasPrefix(inside + "/")
        {
            throw ToolFailure("\(path) lies inside \(source); give --out a directory outside of it")
        }
    }

    /// An empty directory may be replaced, by its name and with its rights; nothing else.
    private static func checkPlace(_ path: String) throws {
        guard let place = status(path) else { return }
        var above = stat()
        if place.st_mode & S_IFMT == S_IFLNK {
            throw ToolFailure("\(path) is a symbolic link; give --out the directory's own name")
        }
        if stat(parent(of: path), &above) == 0, above.st_dev != place.st_dev {
            throw ToolFailure("\(path) is a mount point; give --out a directory inside of it")
        }
    }

    private static func status(_ path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    /// Gives the finished directory its name, durably.
    func commit() throws {
        if let replaced = Self.status(path) {
            // Without the right to do so the directory stays its maker's.
            _ = chown(partial, replaced.st_uid, replaced.st_gid)
            _ = chmod(partial, replaced.st_mode & 0o7777)
        }
        guard rename(partial, path) == 0 else { throw Self.failure("rename", partial) }
        do throws(FileError) {
            try PosixFileSystem().syncDirectory(Self.parent(of: path))
        } catch { throw ToolFailure(.file(error)) }
    }

    /// Removes what an error left unfinished.
    func discard() {
        guard let names = try? Self.entries(partial) else { return }
        for name in names { unlink(partial + "/" + name) }
        rmdir(partial)
    }

    /// Builds the directory with `body`; takes everything back if that fails.
    func build<Result>(_ body: (_ directory: String) throws -> Result) throws -> Result {
        do {
            let result = try body(partial)
            try commit()
            return result
        } catch {
            discard()
            throw error
        }
    }

    // MARK: Paths

    /// The names in a directory; nil if nothing of that path exists.
    private static func entries(_ path: String) throws -> [String]? {
        do throws(FileError) {
            return try PosixFileSystem().list(path)
        } catch {
            if error.reason == .notFound { return nil }
            throw ToolFailure(.file(error))
        }
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Where a path will lie whose last parts may not exist yet.
    private static func realPlace(_ path: String) -> String? {
        if let real = realPath(path) { return real }
        let above = parent(of: path)
        guard above != path, let real = realPlace(above) else { return nil }
        return real + "/" + (path.split(separator: "/").last ?? "")
    }

    private static func failure(_ operation: String, _ path: String) -> ToolFailure {
        ToolFailure("\(operation) \(path): \(String(cString: strerror(errno)))")
    }
}
