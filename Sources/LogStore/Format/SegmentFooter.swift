package import Base

/// The last record of a sealed segment: for each queue, where its entries stand (`docs/format.md`,
/// "Footer record").
///
/// A cache: it can be rebuilt from the records before it.
package struct SegmentFooter: Sendable {
    static let tableEntryByteCount = 32
    static let tailByteCount = 8

    /// One queue's line in the table.
    package struct Line: Equatable, Sendable {
        package let queue: QueueID
        package let count: Int
        package let first: UInt64
        /// Headers and bodies of the listed entries.
        package let bytes: UInt64
        /// Where the posting list stands, from the footer's start.
        let postings: Range<Int>
    }

    package let lines: [Line]

    /// One queue's entries in the segment: the first sequence and each entry's offset; 0 where an
    /// entry was lost to damage.
    struct Source {
        let queue: QueueID
        let first: UInt64
        let bytes: UInt64
        let offsets: ArraySlice<UInt32>
    }

    /// Encodes the posting lists: each offset as a LEB128 difference to the one before, in units of
    /// eight bytes; a lost entry has difference 0.
    static func encode(_ sources: [Source], at offset: Int, seed: UInt32) -> [UInt8] {
        var postings: [UInt8] = []
        var lengths: [Int] = []
        for source in sources {
            let start = postings.count
            var last: UInt32 = 0
            for offset in source.offsets {
                appendVariable(offset == 0 ? 0 : (offset - last) / 8, to: &postings)
                if offset != 0 { last = offset }
            }
            lengths.append(postings.count - start)
        }
        let tableStart = RecordHeader.byteCount + 8
        let postingsStart = tableStart + sources.count * tableEntryByteCount
        let length = roundedUpToEight(postingsStart + postings.count) + tailByteCount
        return .encoded(count: length) { span in
            span.appendRecord(
                .footer,
                length: length,
                flags: 0,
                count: 0,
                word: UInt32(sources.count),
                seed: seed
            ) { span in
                span.append64(UInt64(postings.count))
                var at = postingsStart
                for (source, length) in zip(sources, lengths) {
                    span.append32(source.queue.value)
                    span.append32(UInt32(source.offsets.count))
                    span.append64(source.first)
                    span.append64(source.bytes)
                    span.append32(UInt32(at))
                    span.append32(UInt32(length))
                    at += length
                }
                span.append(bytes: postings.span.bytes)
                span.pad(to: length - tailByteCount)
                span.append64(UInt64(offset))
            }
        }
    }

    /// Reads the table; nothing if its lengths contradict each other.
    ///
    /// The checksum was checked.
    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        let queueCount = Int(header.word)
        let tableStart = RecordHeader.byteCount + 8
        guard header.kind == .footer,
            header.length >= tableStart + queueCount * Self.tableEntryByteCount
                + Self.tailByteCount
        else { return nil }
        var lines: [Line] = []
        lines.reserveCapacity(queueCount)
        for index in 0..<queueCount {
            let at = offset + tableStart + index * Self.tableEntryByteCount
            let start = Int(bytes.uint32(at: at + 24))
            let end = start + Int(bytes.uint32(at: at + 28))
            guard end <= header.length - Self.tailByteCount else { return nil }
            lines.append(
                Line(
                    queue: QueueID(bytes.uint32(at: at)),
                    count: Int(bytes.uint32(at: at + 4)),
                    first: bytes.uint64(at: at + 8),
                    bytes: bytes.uint64(at: at + 16),
                    postings: start..<end
                )
            )
        }
        self.lines = lines
    }

    /// Decodes one posting list from the footer record that starts at `offset` in `bytes`.
    package static func postings(of line: Line, in bytes: RawSpan, at offset: Int) -> Postings? {
        var offsets: [UInt32] = []
        offsets.reserveCapacity(line.count)
        var position = offset + line.postings.lowerBound
        let end = offset + line.postings.upperBound
        var last: UInt32 = 0
        while offsets.count < line.count {
            var value: UInt32 = 0
            var shift: UInt32 = 0
            while true {
                guard position < end, shift < 32 else { return nil }
                let byte = bytes.uint8(at: position)
                position += 1
                value |= UInt32(byte & 0x7F) << shift
                shift += 7
                if byte & 0x80 == 0 { break }
            }
            if value != 0 { last += value * 8 }
            offsets.append(value == 0 ? 0 : last)
        }
        return Postings(first: line.first, offsets: offsets)
    }

    private static func appendVariable(_ value: UInt32, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// Where the entries of one queue stand in one segment.
///
/// Immutable once made.
package final class Postings: Sendable {
    package let first: UInt64
    /// Offset of each entry from `first` on; 0 where an entry cannot be read.
    package let offsets: [UInt32]

    package init(first: UInt64, offsets: [UInt32]) {
        self.first = first
        self.offsets = offsets
    }

    /// The offset of an entry, or nothing if it is not listed or was lost.
    package func offset(of sequence: UInt64) -> Int? {
        guard sequence >= first, sequence - first < UInt64(offsets.count) else { return nil }
        let offset = offsets[Int(sequence - first)]
        return offset == 0 ? nil : Int(offset)
    }
}
