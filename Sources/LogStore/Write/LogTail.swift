import DequeModule

/// The end of the log in memory: what is being appended, what waits for the writer, and the recent
/// past, from which consumers that keep up are served.
///
/// A list of chunks in log order. A record never straddles two chunks, a chunk never two segments.
/// Confinement: broker loop.
struct LogTail {
    /// A chunk and where its bytes belong.
    struct Placed {
        let chunk: MemoryChunk
        let segment: UInt32
        /// Offset in the segment file of the chunk's first byte.
        let start: Int

        var end: LogPosition { LogPosition(segment: segment, offset: start + chunk.count) }
        var position: LogPosition { LogPosition(segment: segment, offset: start) }
    }

    private let chunkBytes: Int
    private let bytesMax: Int
    private var chunks: Deque<Placed> = []
    private var free: [MemoryChunk] = []
    private var heldBytes = 0
    /// The chunk being appended to; the last of `chunks`.
    private var current: MemoryChunk
    private var currentStart: Int

    /// The segment being appended to.
    private(set) var segment: UInt32

    /// Starts at a position of an existing log, or of a new segment.
    init(chunkBytes: Int, bytesMax: Int, at position: LogPosition) {
        self.chunkBytes = chunkBytes
        self.bytesMax = bytesMax
        segment = position.segment
        current = MemoryChunk(capacity: chunkBytes)
        currentStart = position.offset
        heldBytes = chunkBytes
        chunks.append(Placed(chunk: current, segment: segment, start: currentStart))
    }

    /// Where the next byte goes.
    @inline(__always)
    var end: LogPosition { LogPosition(segment: segment, offset: currentStart + current.count) }

    /// Makes room for `length` bytes in one piece.
    @inline(__always)
    mutating func reserve(_ length: Int) {
        if current.capacity - current.count < length {
            place(start: currentStart + current.count, atLeast: length)
        }
    }

    /// Appends what `body` writes, for which room was reserved.
    @inline(__always)
    mutating func append(_ body: (inout OutputRawSpan) -> Void) {
        current.append(body)
    }

    /// Goes on at the start of another segment.
    mutating func beginSegment(_ number: UInt32) {
        segment = number
        place(start: 0, atLeast: 0)
    }

    /// Writes again over bytes that were not handed over yet.
    func patch(at position: LogPosition, count: Int, _ body: (inout OutputRawSpan) -> Void) {
        guard let placed = chunk(at: position) else {
            preconditionFailure("a patch outside the tail")
        }
        let start = position.offset - placed.start
        placed.chunk.patch(start..<start + count, body)
    }

    /// The pieces that hold the bytes of one segment from `start` to the end of the tail.
    func pieces(from start: LogPosition) -> [(offset: Int, chunk: MemoryChunk, range: Range<Int>)] {
        var pieces: [(offset: Int, chunk: MemoryChunk, range: Range<Int>)] = []
        for placed in chunks.reversed() {
            if placed.segment != start.segment || placed.end <= start { break }
            let from = max(0, start.offset - placed.start)
            if from < placed.chunk.count {
                pieces.append((placed.start + from, placed.chunk, from..<placed.chunk.count))
            }
        }
        return pieces.reversed()
    }

    /// The chunk that holds a position, if it is still (or already) in memory.
    ///
    /// Logarithmic; O(1) for the chunk that is being appended to, where most that is delivered stands.
    @inline(__always)
    func chunk(at position: LogPosition) -> Placed? {
        if position.segment == segment, position.offset >= currentStart {
            return position.offset < currentStart + current.count
                ? Placed(chunk: current, segment: segment, start: currentStart) : nil
        }
        return search(position)
    }

    private func search(_ position: LogPosition) -> Placed? {
        guard let first = chunks.first, position >= first.position else { return nil }
        var low = 0
        var high = chunks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if chunks[middle].position <= position { low = middle } else { high = middle }
        }
        let placed = chunks[low]
        return position < placed.end ? placed : nil
    }

    /// Lets go of the oldest chunks while there are too many and all their bytes are written.
    mutating func evict(written: LogPosition) {
        while heldBytes > bytesMax, chunks.count > 1, let first = chunks.first,
            first.end <= written
        {
            chunks.removeFirst()
            heldBytes -= first.chunk.capacity
            if first.chunk.capacity == chunkBytes, free.count < 2 {
                free.append(first.chunk)
            }
        }
    }

    private mutating func place(start: Int, atLeast length: Int) {
        if length <= chunkBytes, let chunk = free.popLast() {
            // A reader never keeps a chunk past its call, and the writer has had all of its bytes.
            chunk.clear()
            current = chunk
        } else {
            current = MemoryChunk(capacity: max(chunkBytes, length))
        }
        currentStart = start
        heldBytes += current.capacity
        chunks.append(Placed(chunk: current, segment: segment, start: start))
    }
}
