/// Kinds of records, by their persisted values, which are never used again for anything else.
package enum RecordKind: UInt8, Sendable, CaseIterable {
    case group = 1
    case message = 2
    /// Only in segments of versions 1 and 2.
    case settleOfQueue = 3
    case requeue = 4
    case queue = 5
    case deleteQueue = 6
    case purge = 7
    case footer = 8
    case unitEnd = 9
    /// Only in packed segments, like `index`.
    case block = 10
    case index = 11
    case settle = 12
}

/// The 16 bytes that every record begins with (`docs/format.md`, "Record header").
package struct RecordHeader: Equatable, Sendable {
    package static let byteCount = 16
    /// Flag: the atomic unit goes on with the next record.
    package static let continues: UInt8 = 1

    /// Bytes of the whole record with its padding; a multiple of eight.
    package let length: Int
    package let kind: RecordKind
    package let flags: UInt8
    /// How many elements the record's list has.
    package let count: Int
    /// The kind's own 32-bit field: a queue, or a length.
    package let word: UInt32

    var continues: Bool { flags & Self.continues != 0 }

    /// Reads a header without its checksum, or nothing if the bytes cannot be one.
    @inline(__always)
    package init?(_ bytes: RawSpan, at offset: Int) {
        guard offset + Self.byteCount <= bytes.byteCount else { return nil }
        let length = Int(bytes.uint32(at: offset + 4))
        guard length >= Self.byteCount, length % 8 == 0,
            let kind = RecordKind(rawValue: bytes.uint8(at: offset + 8))
        else { return nil }
        self.length = length
        self.kind = kind
        flags = bytes.uint8(at: offset + 9)
        count = Int(bytes.uint16(at: offset + 10))
        word = bytes.uint32(at: offset + 12)
    }

    /// Whether the checksum of the record at `offset` holds; all of its bytes must be there.
    ///
    /// `fileOffset` is where the record stands in its segment file, `seed` the segment's.
    package func isSound(
        _ bytes: RawSpan,
        at offset: Int,
        seed: UInt32,
        fileOffset: Int
    ) -> Bool {
        let covered = bytes.extracting(offset + 4..<offset + length)
        let start = Checksum.seed(seed, at: fileOffset)
        return Checksum.crc32c(start, covered) == bytes.uint32(at: offset)
    }
}

extension OutputRawSpan {
    /// Appends one record: header, what `body` writes, padding, and then the checksum.
    @inline(__always)
    mutating func appendRecord(
        _ kind: RecordKind,
        length: Int,
        flags: UInt8,
        count: Int,
        word: UInt32,
        seed: UInt32,
        body: (inout OutputRawSpan) -> Void
    ) {
        let start = byteCount
        append32(0)
        append32(UInt32(length))
        append(kind.rawValue, as: UInt8.self)
        append(flags, as: UInt8.self)
        append16(UInt16(count))
        append32(word)
        body(&self)
        pad(to: start + length)
        sealRecord(at: start, length: length, seed: seed)
    }

    /// Computes and stores the checksum of the record that begins at `start`.
    @inline(__always)
    mutating func sealRecord(at start: Int, length: Int, seed: UInt32) {
        let crc = Checksum.crc32c(seed, bytes.extracting(start + 4..<start + length))
        var bytes = mutableBytes
        bytes.storeBytes(of: crc.littleEndian, toByteOffset: start, as: UInt32.self)
    }
}
