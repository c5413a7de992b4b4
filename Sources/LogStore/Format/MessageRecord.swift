package import Base

/// One stored message with its entries (`docs/format.md`, "Message record"), as offsets into the
/// bytes it was read from.
package struct MessageRecord: Sendable {
    static let fixedByteCount = 28
    static let entryByteCount = 12
    /// Record flag: the message expires; when, stands behind the entries.
    static let expiresFlag: UInt8 = 2
    /// A record's list is counted in 16 bits.
    package static let entriesMax = 65_535

    /// Where the record begins in its bytes.
    package let offset: Int
    package let entryCount: Int
    package let timeMilliseconds: UInt64
    /// In ms since 1970; 0 = never.
    package let expiresMilliseconds: UInt64
    package let headers: Range<Int>
    package let body: Range<Int>

    /// Headers and body, the measure of depth and limits.
    package var messageBytes: Int { headers.count + body.count }

    /// Bytes of the whole record.
    package static func length(headers: Int, body: Int, entries: Int, expires: UInt64) -> Int {
        roundedUpToEight(
            fixedByteCount + entries * entryByteCount + (expires == 0 ? 0 : 8) + headers + body
        )
    }

    /// Reads the layout; nothing if the lengths inside contradict each other.
    @inline(__always)
    package init?(_ header: RecordHeader, _ bytes: RawSpan, at offset: Int) {
        guard header.kind == .message, header.length >= Self.fixedByteCount, header.count > 0 else {
            return nil
        }
        let headerBytes = Int(header.word)
        let bodyBytes = Int(bytes.uint32(at: offset + 24))
        let isExpiring = header.flags & Self.expiresFlag != 0
        let length = Self.length(
            headers: headerBytes,
            body: bodyBytes,
            entries: header.count,
            expires: isExpiring ? 1 : 0
        )
        guard length == header.length else { return nil }
        self.offset = offset
        entryCount = header.count
        timeMilliseconds = bytes.uint64(at: offset + 16)
        let entriesEnd = offset + Self.fixedByteCount + header.count * Self.entryByteCount
        expiresMilliseconds = isExpiring ? bytes.uint64(at: entriesEnd) : 0
        let headersStart = isExpiring ? entriesEnd + 8 : entriesEnd
        headers = headersStart..<headersStart + headerBytes
        body = headers.upperBound..<headers.upperBound + bodyBytes
    }

    /// The entry at `index`: its queue and its sequence there.
    package func entry(_ index: Int, in bytes: RawSpan) -> (QueueID, EntrySequence) {
        let at = offset + Self.fixedByteCount + index * Self.entryByteCount
        return (QueueID(bytes.uint32(at: at)), EntrySequence(bytes.uint64(at: at + 4)))
    }

    /// Whether the message has the given entry.
    ///
    /// Linear in the number of entries.
    package func holds(_ queue: QueueID, _ sequence: EntrySequence, in bytes: RawSpan) -> Bool {
        for index in 0..<entryCount where entry(index, in: bytes) == (queue, sequence) {
            return true
        }
        return false
    }

    /// Appends a message record with one entry.
    @inline(__always)
    static func append(
        to span: inout OutputRawSpan,
        queue: QueueID,
        sequence: UInt64,
        time: UInt64,
        expires: UInt64,
        headers: RawSpan,
        body: RawSpan,
        flags: UInt8,
        seed: UInt32
    ) {
        let length = length(
            headers: headers.byteCount,
            body: body.byteCount,
            entries: 1,
            expires: expires
        )
        span.appendRecord(
            .message,
            length: length,
            flags: expires == 0 ? flags : flags | expiresFlag,
            count: 1,
            word: UInt32(headers.byteCount),
            seed: seed
        ) { span in
            span.append64(time)
            span.append32(UInt32(body.byteCount))
            span.append32(queue.value)
            span.append64(sequence)
            if expires != 0 { span.append64(expires) }
            span.append(bytes: headers)
            span.append(bytes: body)
        }
    }

    /// Appends a message record with an entry in each of several queues.
    static func append(
        to span: inout OutputRawSpan,
        entries: [(QueueID, UInt64)],
        time: UInt64,
        expires: UInt64,
        headers: RawSpan,
        body: RawSpan,
        flags: UInt8,
        seed: UInt32
    ) {
        let length = length(
            headers: headers.byteCount,
            body: body.byteCount,
            entries: entries.count,
            expires: expires
        )
        span.appendRecord(
            .message,
            length: length,
            flags: expires == 0 ? flags : flags | expiresFlag,
            count: entries.count,
            word: UInt32(headers.byteCount),
            seed: seed
        ) { span in
            span.append64(time)
            span.append32(UInt32(body.byteCount))
            for (queue, sequence) in entries {
                span.append32(queue.value)
                span.append64(sequence)
            }
            if expires != 0 { span.append64(expires) }
            span.append(bytes: headers)
            span.append(bytes: body)
        }
    }
}
