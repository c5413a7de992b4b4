/// The first 64 bytes of a segment file (`docs/format.md`, "Segment header").
package struct SegmentHeader: Equatable, Sendable {
    package static let byteCount = 64
    package static let magic: UInt64 = 0x4745_5352_4F54_4152  // "RATORSEG" as bytes
    /// Version 2 has a settle record for each queue, version 1 knew no expiring messages and no requeued
    /// entries that wait either.
    package static let formatVersion: UInt32 = 3

    package let store: StoreID
    package let segment: UInt32
    /// Counts the openings of the store; the one that began this segment.
    package let epoch: UInt64
    /// Wall clock when the segment was begun, in ms since 1970.
    package let createdMilliseconds: UInt64
    /// The file's length when the segment was begun, 0 if it was not prepared: until its footer is
    /// there the file is never shorter.
    package let preparedBytes: Int
    /// The format's version when the segment was begun.
    package let version: UInt32

    package init(
        store: StoreID,
        segment: UInt32,
        epoch: UInt64,
        createdMilliseconds: UInt64,
        preparedBytes: Int,
        version: UInt32 = formatVersion
    ) {
        self.store = store
        self.segment = segment
        self.epoch = epoch
        self.createdMilliseconds = createdMilliseconds
        self.preparedBytes = preparedBytes
        self.version = version
    }

    func encode(into span: inout OutputRawSpan) {
        let bytes = [UInt8].encoded(count: Self.byteCount) { span in
            span.append64(Self.magic)
            span.append32(version)
            span.append32(0)
            span.append64(store.high)
            span.append64(store.low)
            span.append64(UInt64(segment))
            span.append64(epoch)
            span.append64(createdMilliseconds)
            span.append64(UInt64(preparedBytes))
        }
        let crc = Checksum.crc32c(0, bytes.span.bytes)
        span.append(bytes: bytes.span.bytes.extracting(0..<12))
        span.append32(crc)
        span.append(bytes: bytes.span.bytes.extracting(16..<Self.byteCount))
    }

    /// What is wrong with a header.
    package enum Fault: Error, Equatable, Sendable {
        case notASegment
        case badChecksum
        case newerVersion(UInt32)
    }

    /// Reads and checks a header; the checksum is looked at before the version, so that a newer
    /// version is only believed when the bytes are sound.
    package static func decode(_ bytes: RawSpan) throws(Fault) -> SegmentHeader {
        guard bytes.byteCount >= byteCount, bytes.uint64(at: 0) == magic else {
            throw .notASegment
        }
        guard Checksum.ofHeader(bytes.extracting(0..<byteCount)) == bytes.uint32(at: 12) else {
            throw .badChecksum
        }
        let version = bytes.uint32(at: 8)
        guard (1...formatVersion).contains(version) else { throw .newerVersion(version) }
        return SegmentHeader(
            store: StoreID(high: bytes.uint64(at: 16), low: bytes.uint64(at: 24)),
            segment: UInt32(truncatingIfNeeded: bytes.uint64(at: 32)),
            epoch: bytes.uint64(at: 40),
            createdMilliseconds: bytes.uint64(at: 48),
            preparedBytes: Int(truncatingIfNeeded: bytes.uint64(at: 56)),
            version: version
        )
    }
}
