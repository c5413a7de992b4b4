// The memory image of the log's tail. One of the few places with unsafe pointers.
//
// Invariants: bytes below `count` never change, except through `patch`, which the broker loop calls
// only for bytes that were not yet handed to the writer. The broker loop appends; the writer thread
// reads only ranges below the `count` at the time they were handed to it (through a lock, which
// orders the memory). So the two never touch the same byte at the same time.

/// A fixed piece of memory that holds consecutive bytes of one segment.
///
/// Confinement: appended to on the broker loop; ranges that were handed over are read anywhere.
package final class MemoryChunk: @unchecked Sendable {
    // @unchecked: see the invariants at the top of the file.
    private let base: UnsafeMutableRawBufferPointer

    /// Bytes appended so far.
    package private(set) var count = 0

    package var capacity: Int { base.count }

    init(capacity: Int) {
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        base.deallocate()
    }

    /// Appends what `body` writes; it must fit into the rest of the chunk.
    @inline(__always)
    func append(_ body: (inout OutputRawSpan) -> Void) {
        let free = UnsafeMutableRawBufferPointer(rebasing: base[count...])
        var span = OutputRawSpan(buffer: free, initializedCount: 0)
        body(&span)
        count += span.finalize(for: free)
    }

    /// Writes again over bytes that were appended but not yet handed over; the same number.
    func patch(_ range: Range<Int>, _ body: (inout OutputRawSpan) -> Void) {
        precondition(range.upperBound <= count, "a patch beyond the chunk's end")
        let target = UnsafeMutableRawBufferPointer(rebasing: base[range])
        var span = OutputRawSpan(buffer: target, initializedCount: 0)
        body(&span)
        let written = span.finalize(for: target)
        precondition(written == range.count, "a patch of another length")
    }

    /// Forgets the content, for reuse by a later piece of the log.
    ///
    /// No range may be handed out.
    func clear() {
        count = 0
    }

    /// Lends the bytes of a range that lies below `count`.
    @inline(__always)
    package func withBytes<Result, E: Error>(
        _ range: Range<Int>,
        _ body: (RawSpan) throws(E) -> Result
    ) throws(E) -> Result {
        precondition(range.upperBound <= count, "a read beyond the chunk's end")
        return try body(
            RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: base[range]))
        )
    }
}
