public import NIOCore

// One of the few places with unsafe pointers. A span that is lent here borrows the buffer, so the compiler lets
// nobody change or free the bytes while it is in use. Addresses are compared, and nothing is read through them.

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

    /// True if the other buffer stands in the same memory, and ends in the same place with all of its
    /// readable bytes among those of this one.
    ///
    /// What one buffer shows of memory that another one holds, too, is not written to, so these bytes are then the
    /// same.
    @inlinable
    @inline(__always)
    public func isSame(as other: ByteBuffer) -> Bool {
        memoryAddress == other.memoryAddress && writerIndex == other.writerIndex
            && readerIndex <= other.readerIndex
    }

    /// Where its memory begins, to be compared only: it changes when the buffer had to leave memory that others
    /// hold as well.
    @inlinable
    @inline(__always)
    public var memoryAddress: UInt {
        withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
}
