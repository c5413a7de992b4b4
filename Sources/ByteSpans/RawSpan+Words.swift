// Names are compared and hashed in words, for a call to compare some bytes costs more than the bytes do.

extension RawSpan {
    /// The eight bytes from `offset` on, the first in the lowest place; zeros stand for those behind the end.
    @inlinable
    @inline(__always)
    public func word(at offset: Int) -> UInt64 {
        let left = byteCount - offset
        if left >= 8 { return wholeWord(at: offset) }
        // The last eight bytes, without those before the offset.
        if byteCount >= 8 { return wholeWord(at: byteCount - 8) >> UInt64(8 * (8 - left)) }
        var word: UInt64 = 0
        for index in (offset..<byteCount).reversed() {
            word = word << 8 | UInt64(unsafeLoadUnaligned(fromByteOffset: index, as: UInt8.self))
        }
        return word
    }

    @inlinable
    @inline(__always)
    func wholeWord(at offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
