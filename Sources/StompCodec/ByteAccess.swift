import CLineMarks
import Glibc
import NIOCore

// The only file of this module that touches unsafe pointers: searching, comparing and copying runs
// of bytes as fast as the C library does. Invariants, checked by every function on entry:
// 1. A range lies inside its span; a write lies inside the cursor's capacity.
// 2. No pointer leaves the function or the closure that it was made for.
// 3. Source and target of a copy are different memory: a span of a buffer that is being written to
//    cannot exist, for Swift's exclusivity rules forbid it.

extension RawSpan {
    /// One byte.
    @inline(__always)
    subscript(byte offset: Int) -> UInt8 {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The offset of the first `byte` in `range`.
    @inline(__always)
    func firstOffset(of byte: UInt8, in range: Range<Int>) -> Int? {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        return withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress,
                let hit = memchr(base + range.lowerBound, Int32(byte), range.count)
            else { return nil }
            return UnsafeRawPointer(hit) - base
        }
    }

    /// True if the bytes of `range` are those of `text`.
    @inline(__always)
    func equals(_ text: StaticString, in range: Range<Int>) -> Bool {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        guard range.count == text.utf8CodeUnitCount else { return false }
        return withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return range.isEmpty }
            return memcmp(base + range.lowerBound, text.utf8Start, range.count) == 0
        }
    }
}

/// Where up to 64 bytes hold what the structure of header lines depends on: the lowest bit stands for the
/// first of them.
struct LineMarks {
    /// Line feeds, colons and NULs.
    var stops: UInt64
    /// Backslashes and carriage returns.
    let specials: UInt64
    /// Bytes that were looked at.
    let count: Int

    /// Looks at the bytes from `offset` on, of which there must be one.
    @inline(__always)
    init(_ span: RawSpan, at offset: Int) {
        precondition(offset >= 0 && offset < span.byteCount)
        let left = span.byteCount - offset
        let marks = span.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            return left >= 64
                ? radiator_line_marks(rest.baseAddress)
                : radiator_line_marks_of(rest.baseAddress, left)
        }
        stops = marks.stops
        specials = marks.specials
        count = min(left, 64)
    }
}

/// Writes forward into memory that was reserved before.
struct ByteCursor {
    private let target: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    fileprivate init(_ target: UnsafeMutableRawBufferPointer) {
        self.target = target
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        precondition(count < target.count)
        target[count] = byte
        count += 1
    }

    @inline(__always)
    mutating func append(_ text: StaticString) {
        copy(UnsafeRawPointer(text.utf8Start), text.utf8CodeUnitCount)
    }

    @inline(__always)
    mutating func append(_ span: RawSpan) {
        span.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { copy(base, bytes.count) }
        }
    }

    @inline(__always)
    mutating func append(_ span: RawSpan, _ range: Range<Int>) {
        append(span.extracting(range))
    }

    /// Appends a number in decimal, without a String.
    @inline(__always)
    mutating func append(decimal value: UInt64) {
        var digits = 1
        var rest = value
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        precondition(count + digits <= target.count)
        rest = value
        var place = count + digits
        repeat {
            place -= 1
            target[place] = UInt8(truncatingIfNeeded: rest % 10) &+ .zeroDigit
            rest /= 10
        } while rest > 0
        count += digits
    }

    @inline(__always)
    private mutating func copy(_ source: UnsafeRawPointer, _ length: Int) {
        guard length > 0 else { return }
        precondition(count + length <= target.count)
        guard let base = target.baseAddress else { return }
        memcpy(base + count, source, length)
        count += length
    }
}

extension ByteBuffer {
    /// Reserves `capacity` bytes at the end, once, and lets `body` fill as many as it needs.
    @inline(__always)
    mutating func write(upTo capacity: Int, _ body: (inout ByteCursor) -> Void) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { target in
            var cursor = ByteCursor(target)
            body(&cursor)
            return cursor.count
        }
    }
}

extension UInt8 {
    static let lineFeed: UInt8 = 10
    static let carriageReturn: UInt8 = 13
    static let colon: UInt8 = 58
    static let backslash: UInt8 = 92
    static let zeroDigit: UInt8 = 48
    static let comma: UInt8 = 44
    static let hyphen: UInt8 = 45
    static let space: UInt8 = 32
    static let tab: UInt8 = 9

    /// The value of a decimal digit.
    @inline(__always)
    var digit: UInt64? {
        let value = self &- .zeroDigit
        return value < 10 ? UInt64(value) : nil
    }
}
