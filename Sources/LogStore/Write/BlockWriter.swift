import Base

/// Writes consecutive bytes to a file that takes whole blocks only.
///
/// The last block is filled up with zeros, and written again when more comes. Behind the end of the
/// log that means nothing: there are zeros, or what an older segment left. A power cut in such a write
/// leaves what was durable in the block as it was, for the same bytes are written over it.
///
/// Confinement: the thread that writes.
struct BlockWriter<Files: FileSystem>: Sendable {
    private let files: Files
    private let buffer = BlockBuffer()
    /// Where the next byte goes.
    private var end = 0
    /// The bytes of the last block, up to the end.
    private var partial: [UInt8] = []

    init(files: Files) {
        self.files = files
    }

    private static var blockBytes: Int { BlockBuffer.blockBytes }

    /// Gets ready for a file that was opened, before it is told to take whole blocks: what stands before
    /// `offset` in its block is read.
    mutating func begin(_ file: Files.File, at offset: Int) throws(FileError) {
        end = offset
        partial = []
        let count = offset % Self.blockBytes
        guard count > 0 else { return }
        let files = files
        try partial.appendBytes(upTo: count) { (span) throws(FileError) in
            try files.read(file, at: offset - count, into: &span)
        }
        // A file that ends before has no bytes there.
        partial += repeatElement(0, count: count - partial.count)
    }

    /// Writes bytes behind those before.
    ///
    /// After an error the same may be tried again.
    mutating func write(_ file: Files.File, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        invariant(offset == end, "blocks are written in order")
        var position = offset - partial.count
        var filled = partial.count
        buffer.put(partial.span.bytes, at: 0)
        var done = 0
        repeat {
            let count = min(BlockBuffer.byteCount - filled, bytes.byteCount - done)
            buffer.put(bytes.extracting(done..<done + count), at: filled)
            filled += count
            done += count
            let whole = BlockBuffer.wholeBlocks(filled)
            buffer.clear(filled..<whole)
            let files = files
            try buffer.withBytes(0..<whole) { (blocks) throws(FileError) in
                try files.write(file, at: position, blocks)
            }
            guard done < bytes.byteCount else { break }
            position += whole
            filled = 0
        } while true
        end = offset + bytes.byteCount
        let start = filled / Self.blockBytes * Self.blockBytes
        partial = buffer.withBytes(start..<filled) { last in last.withUnsafeBytes { Array($0) } }
    }
}
