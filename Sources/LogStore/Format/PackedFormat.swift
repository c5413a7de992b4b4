// A packed segment holds what was live of a sealed one when it was packed, in compressed blocks
// (`docs/format.md`, "Packed segment"). Its records are byte for byte those of the sealed segment, and
// keep the offsets that they had there: checksums, posting lists and extents stay as they are.

/// One of the forms in which a segment stands on disk.
package struct SegmentFile: Hashable, Sendable {
    package let segment: UInt32
    /// 0: as it was written; others are packed forms, numbered through the whole store.
    package let generation: UInt32

    package var isPacked: Bool { generation > 0 }

    package var name: String {
        isPacked ? FileNames.packed(segment, generation) : FileNames.segment(segment)
    }
}

/// The first 64 bytes of a packed segment.
struct PackedHeader: Equatable, Sendable {
    static let byteCount = 64
    static let magic: UInt64 = 0x4B41_5052_4F54_4152  // "RATORPAK" as bytes
    /// Version 1 knew no codec 2, version 2 no expiring messages.
    static let formatVersion: UInt32 = 3

    let store: StoreID
    let file: SegmentFile
    /// Of the sealed segment; every record's offset is below it.
    let originalLength: Int

    func encode(into span: inout OutputRawSpan) {
        let bytes = [UInt8].encoded(count: Self.byteCount) { span in
            span.append64(Self.magic)
            span.append32(Self.formatVersion)
            span.append32(0)
            span.append64(store.high)
            span.append64(store.low)
            span.append64(UInt64(file.segment))
            span.append64(UInt64(file.generation))
            span.append64(UInt64(originalLength))
            span.append64(0)
        }
        let crc = Checksum.crc32c(0, bytes.span.bytes)
        span.append(bytes: bytes.span.bytes.extracting(0..<12))
        span.append32(crc)
        span.append(bytes: bytes.span.bytes.extracting(16..<Self.byteCount))
    }

    /// Reads and checks a header.
    static func decode(_ bytes: RawSpan) throws(SegmentHeader.Fault) -> PackedHeader {
        guard bytes.byteCount >= byteCount, bytes.uint64(at: 0) == magic else {
            throw .notASegment
        }
        guard Checksum.ofHeader(bytes.extracting(0..<byteCount)) == bytes.uint32(at: 12) else {
            throw .badChecksum
        }
        let version = bytes.uint32(at: 8)
        guard (1...formatVersion).contains(version) else { throw .newerVersion(version) }
        return PackedHeader(
            store: StoreID(high: bytes.uint64(at: 16), low: bytes.uint64(at: 24)),
            file: SegmentFile(
                segment: UInt32(truncatingIfNeeded: bytes.uint64(at: 32)),
                generation: UInt32(truncatingIfNeeded: bytes.uint64(at: 40))
            ),
            originalLength: Int(truncatingIfNeeded: bytes.uint64(at: 48))
        )
    }
}

/// A run of records, compressed together.
struct PackedBlock {
    /// Before each record: its offset in the sealed segment.
    static let placeByteCount = 8
    static let headByteCount = 32

    /// Encodes plain bytes as the record that stands at `offset` of the file.
    static func encode(_ plain: [UInt8], codec: BlockCodec, at offset: Int, seed: UInt32) -> [UInt8]
    {
        let packed = codec.encode(plain)
        let stored = packed ?? plain
        let length = roundedUpToEight(headByteCount + stored.count)
        return .encoded(count: length) { span in
            span.appendRecord(
                .block,
                length: length,
                flags: 0,
                count: Int((packed == nil ? .stored : codec).rawValue),
                word: UInt32(plain.count),
                seed: Checksum.seed(seed, at: offset)
            ) { span in
                span.append64(UInt64(stored.count))
                span.append64(0)
                span.append(bytes: stored.span.bytes)
            }
        }
    }

    /// The plain bytes of the block record at `local`, whose checksum was checked.
    static func decode(_ header: RecordHeader, _ bytes: RawSpan, at local: Int) -> [UInt8]? {
        guard header.kind == .block, header.length >= headByteCount,
            let codec = BlockCodec(rawValue: UInt16(header.count))
        else { return nil }
        let count = bytes.uint64(at: local + 16)
        guard count <= UInt64(header.length - headByteCount) else { return nil }
        let start = local + headByteCount
        let stored = bytes.extracting(start..<start + Int(count))
        return codec.decode(stored, plainCount: Int(header.word))
    }
}

/// The last record of a packed segment: where its blocks stand.
struct PackedIndex {
    static let headByteCount = 24
    static let lineByteCount = 16

    struct Line {
        let fileOffset: Int
        /// Offsets in the sealed segment of the block's first and last record.
        let first: UInt32
        let last: UInt32
    }

    /// The block that holds the footer record with the posting lists.
    var footerOffset: Int
    var lines: [Line]

    func encode(at offset: Int, seed: UInt32) -> [UInt8] {
        let length = Self.headByteCount + lines.count * Self.lineByteCount + 8
        return .encoded(count: length) { span in
            span.appendRecord(
                .index,
                length: length,
                flags: 0,
                count: 0,
                word: UInt32(lines.count),
                seed: Checksum.seed(seed, at: offset)
            ) { span in
                span.append64(UInt64(footerOffset))
                for line in lines {
                    span.append64(UInt64(line.fileOffset))
                    span.append32(line.first)
                    span.append32(line.last)
                }
                span.append64(UInt64(offset))
            }
        }
    }

    /// Reads the record at `local`, whose checksum was checked.
    init?(_ header: RecordHeader, _ bytes: RawSpan, at local: Int) {
        let count = Int(header.word)
        guard header.kind == .index,
            header.length == Self.headByteCount + count * Self.lineByteCount + 8
        else { return nil }
        footerOffset = Int(truncatingIfNeeded: bytes.uint64(at: local + 16))
        lines = (0..<count).map { index in
            let at = local + Self.headByteCount + index * Self.lineByteCount
            return Line(
                fileOffset: Int(truncatingIfNeeded: bytes.uint64(at: at)),
                first: bytes.uint32(at: at + 8),
                last: bytes.uint32(at: at + 12)
            )
        }
    }

    init() {
        footerOffset = 0
        lines = []
    }
}
