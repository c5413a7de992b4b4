import ByteSpans
package import NIOCore

/// One frame as it stands in the received bytes: offsets, no copies.
///
/// Meant to be kept and filled again by `StompParser.next(into:)`, so that its header table is
/// allocated once. It holds the buffer that was received, and knows where in it the frame stands; what is
/// kept longer than the frame pins that storage and should be copied when it is small.
package struct StompFrame: Sendable {
    /// Where one header stands, as offsets into the frame's bytes.
    package struct Header: Sendable {
        var nameStart: UInt32
        /// The colon.
        var nameEnd: UInt32
        var valueEnd: UInt32
        package var name: StompHeaderName
        /// True if the value holds a colon that is not escaped.
        var hasBareColon: Bool

        var nameRange: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var valueRange: Range<Int> { Int(nameEnd) + 1..<Int(valueEnd) }
    }

    /// What the scanner found out about a frame.
    struct Layout: Sendable {
        var command = StompCommand.send
        var headers = HeaderTable()
        /// One bit for each well-known name that occurs.
        var names: UInt32 = 0
        var headersEnd = 0
        var bodyStart = 0
        var bodyEnd = 0
        /// A backslash stands somewhere in the headers.
        var hasBackslash = false
        /// A carriage return stands somewhere in the headers, in a line end or elsewhere.
        var hasCarriageReturn = false

        mutating func reset() {
            headers.removeAll()
            names = 0
            headersEnd = 0
            bodyStart = 0
            bodyEnd = 0
            hasBackslash = false
            hasCarriageReturn = false
        }
    }

    /// Header lines in their order.
    ///
    /// Memory stays when they are removed, and their rows, so that the next frame writes over them: to
    /// empty an array costs as much as to read a short line.
    struct HeaderTable: Sendable, RandomAccessCollection {
        private var rows: [Header] = []
        private(set) var endIndex = 0
        var startIndex: Int { 0 }

        subscript(index: Int) -> Header {
            @inline(__always)
            get {
                precondition(index < endIndex)
                return rows[index]
            }
        }

        @inline(__always)
        mutating func append(_ header: Header) {
            if endIndex < rows.count { rows[endIndex] = header } else { rows.append(header) }
            endIndex += 1
        }

        mutating func removeAll() { endIndex = 0 }
    }

    /// What was received, the frame among others.
    var received = ByteBuffer()
    /// Where the frame stands in the readable bytes, from its command to its NUL.
    var place = 0..<0
    var layout = Layout()
    /// The version that the frame was parsed by; nil before CONNECT.
    package internal(set) var version: StompVersion?

    package init() {}

    /// Lets go of the received bytes; the header table stays for the next frame.
    package mutating func letGo() {
        received = ByteBuffer()
        place = 0..<0
    }

    /// The bytes of the frame.
    var span: RawSpan {
        @_lifetime(borrow self)
        borrowing get { received.byteSpan.extracting(place) }
    }

    /// A part of the frame; shares the received bytes.
    @inline(__always)
    func slice(_ range: Range<Int>) -> ByteBuffer? {
        let start = received.readerIndex + place.lowerBound
        return received.getSlice(at: start + range.lowerBound, length: range.count)
    }

    package var command: StompCommand { layout.command }

    /// The header lines, in their order.
    package var headers: [Header] { Array(layout.headers) }

    /// The body; shares the received bytes.
    package var body: ByteBuffer { slice(layout.bodyStart..<layout.bodyEnd) ?? ByteBuffer() }

    /// True if the frame has this header.
    package func has(_ name: StompHeaderName) -> Bool { layout.names & name.bit != 0 }

    /// The first header of this name (STOMP 1.2, "Repeated Header Entries").
    @inline(__always)
    package func header(_ name: StompHeaderName) -> Header? {
        guard has(name) else { return nil }
        return layout.headers.first { $0.name == name }
    }

    /// A header's value as it was received, still escaped; shares the received bytes.
    package func rawValue(_ name: StompHeaderName) -> ByteBuffer? {
        guard let range = header(name)?.valueRange else { return nil }
        return slice(range)
    }

    /// Lends a header's value as it was received; nil if the frame has none.
    @_lifetime(borrow self)
    package func valueSpan(_ name: StompHeaderName) -> RawSpan? {
        guard let range = header(name)?.valueRange else { return nil }
        return span.extracting(range)
    }

    /// A header's value, unescaped by the frame's version.
    ///
    /// STOMP 1.0 shows headers padded with spaces (`ack: client`), and so do clients that have not
    /// said yet what they speak: there the padding is dropped. Later versions forbid that.
    package func string(_ name: StompHeaderName) -> String? {
        unescapedBytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The bytes of `string`, also where they are no UTF-8: what names something is told apart by
    /// them.
    package func unescapedBytes(_ name: StompHeaderName) -> [UInt8]? {
        guard let range = valueRange(name) else { return nil }
        let span = span
        return StompEscaping.decodedBytes(span, range, escapes: isEscaped ? version : nil)
    }

    /// A header's value as a whole number in decimal, or nil if it is anything else.
    package func integer(_ name: StompHeaderName) -> UInt64? {
        guard let range = valueRange(name) else { return nil }
        return StompInteger.parse(span, range)
    }

    /// True if a header has exactly this value as it was received.
    package func value(_ name: StompHeaderName, is text: StaticString) -> Bool {
        guard let range = valueRange(name) else { return false }
        return span.equals(text, in: range)
    }

    /// True if backslashes in this frame's headers begin escapes.
    var isEscaped: Bool {
        guard let version else { return false }
        return version > .v10 && !command.isNeverEscaped
    }

    /// Where a well-known header's value stands, without the padding of old clients.
    func valueRange(_ name: StompHeaderName) -> Range<Int>? {
        guard let range = header(name)?.valueRange else { return nil }
        guard version == nil || version == .v10 else { return range }
        return StompFrame.trimmed(span, range)
    }

    static func trimmed(_ span: RawSpan, _ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, span[byte: lower] == .space || span[byte: lower] == .tab { lower += 1 }
        while lower < upper, span[byte: upper - 1] == .space || span[byte: upper - 1] == .tab {
            upper -= 1
        }
        return lower..<upper
    }
}
