public import NIOCore

// One of the few places with unsafe pointers. Invariants:
// 1. A span that is lent here borrows the buffer, so the compiler lets nobody change or free the bytes
//    while it is in use.
// 2. What is written here goes into room that was made for all of it before.

extension ByteBuffer {
    /// The readable bytes, as `readableBytesSpan` gives them, without a copy.
    ///
    /// That one is a call of its own with a dynamic check of exclusive access: a message takes ten of
    /// them from the socket to the log. Here the checks stay in debug builds.
    @inlinable
    @inline(__always)
    public var byteSpan: RawSpan {
        @_lifetime(borrow self)
        borrowing get {
            let bytes = withUnsafeReadableBytes { $0 }
            return _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
        }
    }

    /// Appends two pieces, as two calls of `writeBytes` would.
    ///
    /// Those are calls of their own, each with a dynamic check of exclusive access; see `byteSpan`.
    @inlinable
    @inline(__always)
    public mutating func append(_ first: RawSpan, _ second: RawSpan) {
        let count = first.byteCount + second.byteCount
        writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            precondition(room.count >= count, "the buffer made no room")
            first.withUnsafeBytes { room.copyMemory(from: $0) }
            let rest = UnsafeMutableRawBufferPointer(rebasing: room[first.byteCount...])
            second.withUnsafeBytes { rest.copyMemory(from: $0) }
            return count
        }
    }
}
