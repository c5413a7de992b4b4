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
    /// What was written of the last block, and behind it what is to be written.
    private let buffer = BlockBuffer()
    /// Where the buffer's first byte belongs: the begin of a block.
    private(set) var start = 0
    private var writtenBytes = 0
    private var stagedBytes = 0

    init(files: Files) {
        self.files = files
    }

    /// Where the next byte goes.
    private var end: Int { start + writtenBytes + stagedBytes }

    private var room: Int { BlockBuffer.byteCount - writtenBytes - stagedBytes }

    /// Gets ready for a file that was opened, before it is told to take whole blocks: what stands before
    /// `offset` in its block is read.
    mutating func begin(_ file: Files.File, at offset: Int) throws(FileError) {
        let count = offset % BlockBuffer.blockBytes
        start = offset - count
        writtenBytes = count
        stagedBytes = 0
        guard count > 0 else { return }
        let files = files
        let start = start
        var partial: [UInt8] = []
        try partial.appendBytes(upTo: count) { (span) throws(FileError) in
            try files.read(file, at: start, into: &span)
        }
        // A file that ends before has no bytes there.
        partial += repeatElement(0, count: count - partial.count)
        buffer.put(partial.span.bytes, at: 0)
    }

    /// Takes bytes to be written behind those before; false, and nothing taken, if there is no room.
    mutating func stage(at offset: Int, _ bytes: RawSpan) -> Bool {
        guard bytes.byteCount <= room else { return false }
        invariant(offset == end, "blocks are written in order")
        buffer.put(bytes, at: writtenBytes + stagedBytes)
        stagedBytes += bytes.byteCount
        return true
    }

    /// The whole blocks that hold what was staged; they belong at `start`.
    ///
    /// They stay as they are until `stage` or `advance`.
    func stagedBlocks() -> BlockBuffer.Blocks {
        let filled = writtenBytes + stagedBytes
        let whole = BlockBuffer.wholeBlocks(filled)
        buffer.clear(filled..<whole)
        return buffer.blocks(whole)
    }

    /// What was staged is written.
    mutating func advance() {
        let filled = writtenBytes + stagedBytes
        let full = filled / BlockBuffer.blockBytes * BlockBuffer.blockBytes
        buffer.move(full..<filled, to: 0)
        start += full
        writtenBytes = filled - full
        stagedBytes = 0
    }

    /// What was staged is not to be written, or was not.
    mutating func unstage() { stagedBytes = 0 }

    /// Writes bytes behind those before.
    ///
    /// After an error the same may be tried again.
    mutating func write(_ file: Files.File, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        // A part may have been written by the try before.
        var done = end - offset
        invariant(done >= 0 && done <= bytes.byteCount, "blocks are written in order")
        while done < bytes.byteCount {
            let count = min(room, bytes.byteCount - done)
            _ = stage(at: offset + done, bytes.extracting(done..<done + count))
            let (files, start) = (files, start)
            do throws(FileError) {
                try stagedBlocks().withBytes { (blocks) throws(FileError) in
                    try files.write(file, at: start, blocks)
                }
            } catch {
                unstage()
                throw error
            }
            advance()
            done += count
        }
    }
}
