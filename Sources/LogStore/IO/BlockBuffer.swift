import Glibc

// Memory for writes that pass the system's own memory by. One of the few places with unsafe pointers.
//
// Invariant: only the thread that writes the active segment, or prepares a file, touches the bytes; and
// while the system writes them, nobody.

/// Zeroed memory that is aligned and in as few pages as can be, so that the disk takes large pieces at
/// once.
///
/// Confinement: one thread at a time.
final class BlockBuffer: @unchecked Sendable {
    // @unchecked: see the invariant at the top of the file.
    private let base: UnsafeMutableRawBufferPointer

    /// What offsets, lengths and memory of such writes must be multiples of; disks with larger units
    /// are not known to exist, and would only make the file system refuse the way past its memory.
    static let blockBytes = 4096
    /// The size of the processor's large pages, and their alignment.
    static let byteCount = 2 << 20

    /// The bytes of the whole blocks that hold `count` bytes.
    static func wholeBlocks(_ count: Int) -> Int {
        (count + blockBytes - 1) / blockBytes * blockBytes
    }

    init() {
        base = .allocate(byteCount: Self.byteCount, alignment: Self.byteCount)
        // Before the first touch. Without large pages it is slower, and right all the same.
        _ = madvise(base.baseAddress, Self.byteCount, MADV_HUGEPAGE)
        base.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        base.deallocate()
    }

    /// Puts bytes at a place.
    func put(_ bytes: RawSpan, at offset: Int) {
        precondition(offset >= 0 && offset + bytes.byteCount <= base.count)
        bytes.withUnsafeBytes { source in
            guard source.count > 0, let from = source.baseAddress, let to = base.baseAddress else {
                return
            }
            (to + offset).copyMemory(from: from, byteCount: source.count)
        }
    }

    /// Fills a range with zeros.
    func clear(_ range: Range<Int>) {
        UnsafeMutableRawBufferPointer(rebasing: base[range])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Moves bytes that stand in the buffer to another place in it.
    func move(_ range: Range<Int>, to offset: Int) {
        guard !range.isEmpty, let base = base.baseAddress else { return }
        precondition(range.upperBound <= self.base.count && offset + range.count <= self.base.count)
        (base + offset).copyMemory(from: base + range.lowerBound, byteCount: range.count)
    }

    /// The first `count` bytes, to be lent to the system.
    func blocks(_ count: Int) -> Blocks {
        Blocks(buffer: self, bytes: UnsafeRawBufferPointer(rebasing: base[..<count]))
    }

    /// Bytes of a buffer, which lives as long as they are held.
    struct Blocks: @unchecked Sendable {
        // @unchecked: see the invariant at the top of the file.
        private let buffer: BlockBuffer
        /// Valid while `self` is.
        let bytes: UnsafeRawBufferPointer

        fileprivate init(buffer: BlockBuffer, bytes: UnsafeRawBufferPointer) {
            self.buffer = buffer
            self.bytes = bytes
        }

        /// Lends the bytes.
        func withBytes<Result, E: Error>(
            _ body: (RawSpan) throws(E) -> Result
        ) throws(E) -> Result {
            defer { withExtendedLifetime(buffer) {} }
            return try body(RawSpan(_unsafeBytes: bytes))
        }
    }
}
