/// A file that holds disk space for the time when others have filled the disk.
///
/// On a full disk settles must still be written, and checkpoints, for only behind a checkpoint can
/// the files of settled messages go. Whoever finds no space for one of these has the file shortened
/// by what it needs, hardly more, so that a stranger who writes on and on gets little of it, and tries
/// again. The file is made whole when the disk has room, or from the first segment that is done with,
/// before anybody else gets that one's space.
///
/// Confinement: none; each call is a few file calls, and losing a race only means that space is given
/// up twice.
struct SpaceReserve<Files: FileSystem>: Sendable {
    private let files: Files
    private let path: String
    /// 0: nothing is held.
    private let byteCount: Int

    /// A disk with less than this many times the reserve free is left to messages.
    private static var freeShare: Int { 2 }
    /// One in so many parts of it goes at least at a time.
    private static var sliceShare: Int { 64 }

    init(_ files: Files, directory: String, byteCount: Int) {
        self.files = files
        path = directory + "/" + FileNames.reserve
        self.byteCount = byteCount
    }

    /// Writes the file if it is missing and there is room for it.
    func keep(freeBytes: Int) {
        if byteCount == 0 || freeBytes < byteCount * Self.freeShare || isWhole { return }
        removeRest()
        do throws(FileError) {
            let file = try files.open(path, .create)
            defer { files.close(file) }
            try files.writeZeros(file, from: 0, byteCount)
            try files.syncData(file)
        } catch {
            // Tried again at the next look at the disk.
            removeRest()
        }
    }

    /// Makes a file that is to be removed the reserve if that is not whole; false if it is.
    func take(_ other: String) -> Bool {
        if byteCount == 0 || isWhole { return false }
        do throws(FileError) {
            // A snapshot may share the file.
            if try files.linkCount(other) > 1 { return false }
            let file = try files.open(other, .update)
            defer { files.close(file) }
            guard try files.size(file) >= byteCount else { return false }
            try files.truncate(file, to: byteCount)
            try files.rename(other, to: path)
            return true
        } catch {
            return false
        }
    }

    /// Makes the file longer by what another one that was removed held, where it is not whole.
    func grow(by count: Int) {
        let length = length
        let missing = min(count, byteCount - length)
        if missing <= 0 { return }
        do throws(FileError) {
            let file = try length > 0 ? files.open(path, .update) : files.open(path, .create)
            defer { files.close(file) }
            try files.writeZeros(file, from: length, missing)
        } catch {
            // The next one that is removed brings more.
        }
    }

    /// Gives space for `needed` bytes to the disk; false if there was none to give.
    func release(_ needed: Int) -> Bool {
        let length = length
        guard byteCount > 0, length > 0 else { return false }
        do throws(FileError) {
            let file = try files.open(path, .update)
            defer { files.close(file) }
            // Some more, for the file system's own blocks.
            let given = needed + max(byteCount / Self.sliceShare, 1)
            try files.truncate(file, to: max(0, length - given))
            return true
        } catch {
            return false
        }
    }

    /// Removes what is left of the file.
    private func removeRest() {
        do throws(FileError) { try files.remove(path) } catch {}
    }

    /// Whether nothing is missing of it.
    var isWhole: Bool { length == byteCount }

    /// 0 if it is not there, or leads to what is somebody else's, which must not be cut: the next `keep`
    /// puts a file of its own in the place of that name.
    private var length: Int {
        do throws(FileError) {
            if files.isSymbolicLink(path) { return 0 }
            if try files.linkCount(path) > 1 { return 0 }
            let file = try files.open(path, .read)
            defer { files.close(file) }
            return try files.size(file)
        } catch {
            return 0
        }
    }
}

extension FileSystem {
    /// Writes `count` zeros from `start` on.
    func writeZeros(_ file: File, from start: Int = 0, _ count: Int) throws(FileError) {
        let block = [UInt8](repeating: 0, count: min(1 << 20, count))
        var offset = start
        while offset < start + count {
            let length = min(block.count, start + count - offset)
            try write(file, at: offset, block.span.bytes.extracting(0..<length))
            offset += length
        }
    }
}
