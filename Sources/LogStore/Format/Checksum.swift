import CChecksum

/// CRC32C, the checksum of everything on disk.
package enum Checksum {
    /// Continues `seed` over `bytes`; begin with 0.
    @inline(__always)
    package static func crc32c(_ seed: UInt32, _ bytes: RawSpan) -> UInt32 {
        bytes.withUnsafeBytes { radiator_crc32c(seed, $0.baseAddress, $0.count) }
    }

    /// The checksum of a file header, or a whole file, with the checksum's own field, bytes 12 to 15, as
    /// zero.
    static func ofHeader(_ bytes: RawSpan) -> UInt32 {
        let zeros: [UInt8] = [0, 0, 0, 0]
        var crc = crc32c(0, bytes.extracting(0..<12))
        crc = crc32c(crc, zeros.span.bytes)
        return crc32c(crc, bytes.extracting(16..<bytes.byteCount))
    }

    /// What the checksum of the record at one offset of a segment starts from.
    ///
    /// A sound record that turns up at another place of its segment fails.
    @inline(__always)
    package static func seed(_ segment: UInt32, at offset: Int) -> UInt32 {
        segment ^ UInt32(truncatingIfNeeded: offset)
    }
}

/// 16 random bytes that all files of one store carry, so that a stranger's file is told apart and
/// clients cannot compute the checksums of forged records.
package struct StoreID: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new one from `generator`.
    package init(using generator: inout some RandomNumberGenerator) {
        self.init(high: generator.next(), low: generator.next())
    }

    /// What the checksums of a segment's records start from (`docs/format.md`, "Checksums").
    ///
    /// It covers store and segment number: bytes that a recycled file still holds from its earlier
    /// life never read as records of its new one.
    package func seed(ofSegment segment: UInt32) -> UInt32 {
        let bytes = [UInt8].encoded(count: 24) { span in
            span.append64(high)
            span.append64(low)
            span.append64(UInt64(segment))
        }
        return Checksum.crc32c(0, bytes.span.bytes)
    }
}
