/// Reads a file through one window of memory, in large blocks.
///
/// Confinement: whoever made it.
struct BlockReader<Files: FileSystem> {
    /// Bytes read at once; larger records make the window larger for as long as they are looked at.
    static var blockBytes: Int { 1 << 20 }
    /// The unit in which disks lose bytes.
    private static var sectorBytes: Int { 4096 }
    /// How often a sector is read before it is given up; an error may pass.
    private static var triesMax: Int { 3 }

    let files: Files
    let file: Files.File
    let size: Int
    /// The bytes in memory; they begin at `start` of the file.
    private(set) var window: [UInt8] = []
    private(set) var start = 0
    /// Whether the disk refused some bytes; another time it may give them.
    var hasMissedBytes = false
    /// Bytes to read at once from now on.
    var blockBytes: Int
    private let skipsBadSectors: Bool

    /// Without `skipsBadSectors` the error of a read is thrown, for a caller who can try again later.
    init(
        _ files: Files,
        _ file: Files.File,
        blockBytes: Int = 1 << 20,
        skipsBadSectors: Bool = true
    ) throws(FileError) {
        self.files = files
        self.file = file
        self.blockBytes = blockBytes
        self.skipsBadSectors = skipsBadSectors
        size = try files.size(file)
    }

    /// Drops the window, so that the next `load` asks the file.
    mutating func forget() {
        window.removeAll(keepingCapacity: true)
    }

    /// Brings `count` bytes from `offset` on into the window; false if the file ends before.
    mutating func load(_ offset: Int, _ count: Int) throws(FileError) -> Bool {
        if offset >= start, offset + count <= start + window.count { return true }
        guard offset >= 0, count >= 0, offset + count <= size else { return false }
        let length = min(max(count, blockBytes), size - offset)
        start = offset
        let files = files
        let file = file
        do throws(FileError) {
            try window.replaceBytes(upTo: length) { (span) throws(FileError) in
                try files.read(file, at: offset, into: &span)
            }
        } catch {
            window = []
            guard error.spoilsOneFile, skipsBadSectors else { throw error }
            readAroundBadSectors(offset, length)
        }
        return window.count >= count
    }

    /// The header of the record at `offset`, if the record is whole and its checksum is right; then all
    /// of it is in the window.
    ///
    /// `seed` is the segment's.
    mutating func soundHeader(_ offset: Int, seed: UInt32) throws(FileError) -> RecordHeader? {
        guard try load(offset, RecordHeader.byteCount),
            let header = RecordHeader(window.span.bytes, at: offset - start),
            try load(offset, header.length),
            header.isSound(window.span.bytes, at: offset - start, seed: seed, fileOffset: offset)
        else { return nil }
        return header
    }

    /// Brings zeros where the disk has lost the bytes: no record stands there, so the damage is found
    /// like any other, and what is around it is still read.
    private mutating func readAroundBadSectors(_ offset: Int, _ length: Int) {
        let end = offset + length
        hasMissedBytes = true
        var bytes: [UInt8] = []
        var at = offset
        while at < end {
            let next = min(end, (at / Self.sectorBytes + 1) * Self.sectorBytes)
            let piece = sector(at: at, next - at)
            bytes += piece
            bytes += repeatElement(0, count: next - at - piece.count)
            at = next
        }
        window = bytes
    }

    /// The bytes of a part of a sector; none if they cannot be read.
    private func sector(at offset: Int, _ count: Int) -> [UInt8] {
        for _ in 0..<Self.triesMax {
            var bytes: [UInt8] = []
            do throws(FileError) {
                try bytes.appendBytes(upTo: count) { (span) throws(FileError) in
                    try files.read(file, at: offset, into: &span)
                }
                return bytes
            } catch { continue }
        }
        return []
    }
}
