import CZlib
import CZstd

/// How the bytes of a packed block are stored (`docs/format.md`, "Block record").
package enum BlockCodec: UInt16, Sendable, CaseIterable {
    case stored = 0
    /// A zlib stream (RFC 1950).
    case zlib = 1
    /// A Zstandard frame (RFC 8878).
    case zstd = 2

    /// The bytes as this codec stores them; nil if that would not be shorter.
    func encode(_ plain: [UInt8]) -> [UInt8]? {
        switch self {
        case .stored: plain
        case .zlib: Self.deflate(plain)
        case .zstd: Self.compress(plain)
        }
    }

    /// The plain bytes again; nil if the stored ones cannot be what `encode` made of so many.
    func decode(_ stored: RawSpan, plainCount: Int) -> [UInt8]? {
        switch self {
        case .stored:
            stored.byteCount == plainCount ? stored.array(0..<plainCount) : nil
        case .zlib: Self.inflate(stored, plainCount: plainCount)
        case .zstd: Self.decompress(stored, plainCount: plainCount)
        }
    }

    // Level 1: level 6 saves a fifth more for twice the time, and packing competes with serving.
    private static func deflate(_ plain: [UInt8]) -> [UInt8]? {
        var length = uLong(plain.count)
        let bytes = [UInt8](unsafeUninitializedCapacity: plain.count) { buffer, count in
            let status = compress2(buffer.baseAddress, &length, plain, uLong(plain.count), 1)
            count = status == Z_OK ? Int(length) : 0
        }
        return bytes.isEmpty ? nil : bytes
    }

    // Level 1, too: level 3 saves nothing more here.
    private static func compress(_ plain: [UInt8]) -> [UInt8]? {
        let bytes = [UInt8](unsafeUninitializedCapacity: plain.count) { buffer, count in
            let length = ZSTD_compress(buffer.baseAddress, plain.count, plain, plain.count, 1)
            count = ZSTD_isError(length) == 0 ? length : 0
        }
        return bytes.isEmpty ? nil : bytes
    }

    private static func decompress(_ stored: RawSpan, plainCount: Int) -> [UInt8]? {
        let bytes = [UInt8](unsafeUninitializedCapacity: plainCount) { buffer, count in
            let length = stored.withUnsafeBytes { source in
                ZSTD_decompress(buffer.baseAddress, plainCount, source.baseAddress, source.count)
            }
            count = ZSTD_isError(length) == 0 ? length : 0
        }
        return bytes.count == plainCount ? bytes : nil
    }

    private static func inflate(_ stored: RawSpan, plainCount: Int) -> [UInt8]? {
        var length = uLong(plainCount)
        let bytes = [UInt8](unsafeUninitializedCapacity: plainCount) { buffer, count in
            let status = stored.withUnsafeBytes { source in
                uncompress(
                    buffer.baseAddress,
                    &length,
                    source.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    uLong(source.count)
                )
            }
            count = status == Z_OK ? Int(length) : 0
        }
        return bytes.count == plainCount ? bytes : nil
    }
}
