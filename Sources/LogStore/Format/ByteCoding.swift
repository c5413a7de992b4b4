// Little-endian integers and byte runs over spans. One of the few places with unsafe pointers:
// every access is bounds-checked by the span or by the checks written here.

extension RawSpan {
    /// The 16-bit little-endian integer at `offset`, which may be unaligned.
    @inlinable
    package func uint16(at offset: Int) -> UInt16 {
        UInt16(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The 32-bit little-endian integer at `offset`, which may be unaligned.
    @inlinable
    package func uint32(at offset: Int) -> UInt32 {
        UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The 64-bit little-endian integer at `offset`, which may be unaligned.
    @inlinable
    package func uint64(at offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The byte at `offset`.
    @inlinable
    package func uint8(at offset: Int) -> UInt8 {
        unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }

    /// A copy of the bytes in `range`.
    package func array(_ range: Range<Int>) -> [UInt8] {
        extracting(range).withUnsafeBytes { [UInt8]($0) }
    }

    /// The bytes in `range` as text; what is no UTF-8 is replaced.
    package func string(_ range: Range<Int>) -> String {
        extracting(range).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}

extension OutputRawSpan {
    /// Appends a 16-bit integer, little-endian.
    mutating func append16(_ value: UInt16) { append(value.littleEndian, as: UInt16.self) }

    /// Appends a 32-bit integer, little-endian.
    mutating func append32(_ value: UInt32) { append(value.littleEndian, as: UInt32.self) }

    /// Appends a 64-bit integer, little-endian.
    mutating func append64(_ value: UInt64) { append(value.littleEndian, as: UInt64.self) }

    /// Appends a copy of `bytes`, which must fit.
    mutating func append(bytes: RawSpan) {
        precondition(bytes.byteCount <= freeCapacity, "a record is larger than what was reserved")
        bytes.withUnsafeBytes { source in
            withUnsafeMutableBytes { target, initialized in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                to.advanced(by: initialized).copyMemory(from: from, byteCount: source.count)
                initialized += source.count
            }
        }
    }

    /// Appends zeros until `byteCount` bytes are written in all.
    mutating func pad(to count: Int) {
        if byteCount < count {
            append(repeating: 0, count: count - byteCount, as: UInt8.self)
        }
    }
}

extension [UInt8] {
    /// An array of exactly `count` bytes that `body` writes in full.
    static func encoded(count: Int, _ body: (inout OutputRawSpan) -> Void) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            var span = OutputRawSpan(
                buffer: UnsafeMutableRawBufferPointer(buffer),
                initializedCount: 0
            )
            body(&span)
            initialized = span.finalize(for: UnsafeMutableRawBufferPointer(buffer))
            precondition(initialized == count, "an encoder wrote \(initialized) of \(count) bytes")
        }
    }

    /// Appends an integer, little-endian.
    @inline(__always)
    mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends the bytes of a span.
    mutating func append(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { append(contentsOf: $0) }
    }

    /// Writes `body`'s bytes, up to `count` of them, over the array's content and keeps only those.
    ///
    /// Memory that the array has is used again, so that a window moves without being cleared first.
    mutating func replaceBytes<E: Error>(
        upTo count: Int,
        _ body: (inout OutputRawSpan) throws(E) -> Void
    ) throws(E) {
        if capacity < count {
            // New memory is not cleared either.
            self = []
            return try appendBytes(upTo: count, body)
        }
        if self.count > count { removeLast(self.count - count) }
        if self.count < count {
            append(contentsOf: [UInt8](repeating: 0, count: count - self.count))
        }
        var written = 0
        var failure: E?
        withUnsafeMutableBytes { buffer in
            var span = OutputRawSpan(buffer: buffer, initializedCount: 0)
            do throws(E) { try body(&span) } catch { failure = error }
            written = span.finalize(for: buffer)
        }
        removeLast(count - written)
        if let failure { throw failure }
    }

    /// Appends up to `count` bytes that `body` writes, and keeps only what it wrote.
    mutating func appendBytes<E: Error>(
        upTo count: Int,
        _ body: (inout OutputRawSpan) throws(E) -> Void
    ) throws(E) {
        var failure: E?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let free = UnsafeMutableRawBufferPointer(buffer)
            var span = OutputRawSpan(buffer: free, initializedCount: 0)
            do throws(E) { try body(&span) } catch { failure = error }
            initialized = span.finalize(for: free)
        }
        if isEmpty { self = bytes } else { self += bytes }
        if let failure { throw failure }
    }
}

/// The smallest multiple of eight that is not below `count`: records begin at such offsets.
@inlinable
package func roundedUpToEight(_ count: Int) -> Int { (count + 7) & ~7 }
