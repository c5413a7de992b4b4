import FoundationEssentials
import Glibc

/// The few file operations that a benchmark needs.
enum Files {
    /// Makes a new directory inside `parent`.
    static func makeTemporaryDirectory(in parent: String) throws -> String {
        var template = Array("\(parent)/radiator-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw failure("cannot make a directory in \(parent)")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func makeDirectory(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw failure("cannot make \(path)")
        }
    }

    /// Removes a directory with all that is in it; complains on standard error when it cannot.
    static func removeTree(_ path: String) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            let text = "radiator-bench: cannot remove \(path): \(error)\n"
            _ = Glibc.write(STDERR_FILENO, text, text.utf8.count)
        }
    }

    static func read(_ path: String) -> String? {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while case let count = Glibc.read(file, &chunk, chunk.count), count > 0 {
            content += chunk[..<count]
        }
        return String(decoding: content, as: UTF8.self)
    }

    static func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard file >= 0 else { throw failure("cannot write \(path)") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes {
                Glibc.write(file, $0.baseAddress, $0.count)
            }
            guard count > 0 else { throw failure("cannot write \(path)") }
            done += count
        }
    }

    /// Paths of all files below a directory, from there on.
    static func names(in directory: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: directory)
    }

    /// Disk space that the files below a directory take, as `du` counts.
    static func allocatedBytes(
        in directory: String,
        where isMeant: (String) -> Bool = { _ in true }
    ) throws -> Int {
        try names(in: directory).filter(isMeant).reduce(0) { sum, name in
            var status = stat()
            // A server at work removes files.
            guard lstat("\(directory)/\(name)", &status) == 0 else { return sum }
            return sum + Int(status.st_blocks) * 512
        }
    }

    /// Takes the files below a directory out of the page cache; needs no rights.
    static func dropPageCache(of directory: String) throws {
        // Only what is on the disk can leave memory.
        writeBack()
        for name in try names(in: directory) {
            let file = open("\(directory)/\(name)", O_RDONLY)
            guard file >= 0 else { continue }
            defer { close(file) }
            let status = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
            guard status == 0 || status == ESPIPE else {
                throw LoadError(description: "cannot drop \(name) from the page cache")
            }
        }
    }

    /// Brings all that was written to the disks.
    static func writeBack() { sync() }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func failure(_ what: String) -> LoadError {
        LoadError(description: "\(what): \(String(cString: strerror(errno)))")
    }
}
