// The grammar, and where it is followed to the letter or not:
//
//     frame  = command EOL *( header EOL ) EOL *OCTET NUL *EOL
//     header = name ":" value
//
// - EOL is LF, or CR LF in STOMP 1.2 and before CONNECT. In 1.0 and 1.1 a CR is a byte of the line.
//   Between frames any CR and LF is skipped, in every version.
// - A name ends at the first colon and is not empty. Further colons belong to the value.
// - NUL never occurs in headers: it would hide where the frame ends, so it is an error.
// - With `content-length` the body has that many bytes and NUL follows; without it the body ends at
//   the first NUL. The first `content-length` counts. Bodies of frames that must not have one are
//   accepted and left to the caller to ignore.
// - Escapes are checked by version as soon as the headers are complete (`StompEscaping`).

/// Finds the parts of one frame in bytes that may arrive in any pieces.
///
/// Call `scan` with all bytes from the frame's first on, again whenever there are more; no byte is
/// looked at twice while searching. Header lines are searched 64 bytes at a time for all that matters in
/// them, so that what is wrong first is told. Pure: the same bytes give the same result, however split.
struct StompFrameScanner: Sendable {
    private enum Phase: Sendable { case command, headers, bodyOfLength, bodyToNul }

    private let limits: StompLimits
    private var phase = Phase.command
    /// Bytes before it were searched.
    private var position = 0
    private var lineStart = 0
    private var headersStart = 0
    /// The first colon of the line that begins at `lineStart`; 0 = none yet, for there the command stands.
    private var colon = 0
    private var hasSecondColon = false
    /// A backslash or carriage return stands among the headers, or in their blank line.
    private var hasSpecials = false
    /// Where the first content-length stands in the table, if there is one.
    private var contentLengthRow = 0
    var layout = StompFrame.Layout()

    init(limits: StompLimits) {
        self.limits = limits
    }

    /// True once the command is known.
    var hasCommand: Bool { phase != .command }

    /// Bytes that the whole frame has, once its content-length is known.
    var frameByteCount: Int? {
        phase == .bodyOfLength ? layout.bodyEnd + 1 : nil
    }

    /// Gets ready for the next frame.
    mutating func reset() {
        phase = .command
        position = 0
        lineStart = 0
        colon = 0
        hasSecondColon = false
        hasSpecials = false
        layout.reset()
    }

    /// Returns the number of bytes of the frame, or nil if there must be more first.
    mutating func scan(_ span: RawSpan, version: StompVersion?) throws(StompError) -> Int? {
        if phase == .command {
            guard try scanCommand(span, version) else { return nil }
        }
        if phase == .headers {
            guard try scanHeaders(span, version) else { return nil }
            try beginBody(span, version)
        }
        return phase == .bodyOfLength
            ? try scanBodyOfLength(span) : try scanBodyToNul(span, version)
    }

    // MARK: Command

    private mutating func scanCommand(
        _ span: RawSpan,
        _ version: StompVersion?
    ) throws(StompError) -> Bool {
        let end = span.firstOffset(of: .lineFeed, in: position..<span.byteCount)
        position = end ?? span.byteCount
        guard position <= StompCommand.byteCountMax, let end else {
            if position <= StompCommand.byteCountMax { return false }
            throw .unknownCommand(Self.printable(span, 0..<StompCommand.byteCountMax + 1))
        }
        let line = 0..<lineEnd(span, end, version)
        guard let command = StompCommand(span, line) else {
            throw .unknownCommand(Self.printable(span, line))
        }
        layout.command = command
        position = end + 1
        lineStart = position
        headersStart = position
        phase = .headers
        return true
    }

    // MARK: Headers

    private mutating func scanHeaders(
        _ span: RawSpan,
        _ version: StompVersion?
    ) throws(StompError) -> Bool {
        while position < span.byteCount {
            let marks = LineMarks(span, at: position)
            var stops = marks.stops
            while stops != 0 {
                let place = stops.trailingZeroBitCount
                stops &= stops &- 1
                let offset = position + place
                switch span[byte: offset] {
                case .colon:
                    if colon == 0 { colon = offset } else { hasSecondColon = true }
                case .lineFeed:
                    let line = lineStart..<lineEnd(span, offset, version)
                    lineStart = offset + 1
                    if line.isEmpty {
                        layout.headersEnd = line.lowerBound
                        hasSpecials = hasSpecials || marks.specials & ((1 << place) &- 1) != 0
                        position = lineStart
                        return true
                    }
                    try addHeader(span, line)
                default: throw nulInHeaders(at: offset)
                }
            }
            hasSpecials = hasSpecials || marks.specials != 0
            position += marks.count
        }
        guard position <= headersEndMax else { throw headersTooLarge }
        return false
    }

    /// Adds the line that ends before `lineStart`.
    @inline(__always)
    private mutating func addHeader(
        _ span: RawSpan,
        _ line: Range<Int>
    ) throws(StompError) {
        guard lineStart - headersStart <= limits.headerBytesMax else { throw headersTooLarge }
        guard layout.headers.count < limits.headersMax else {
            throw .tooManyHeaders(limit: limits.headersMax)
        }
        guard colon > 0 else { throw .headerWithoutColon(line: layout.headers.count + 1) }
        guard colon > line.lowerBound else {
            throw .emptyHeaderName(line: layout.headers.count + 1)
        }
        let name = StompHeaderName(span, line.lowerBound..<colon)
        if name == .contentLength, layout.names & name.bit == 0 {
            contentLengthRow = layout.headers.count
        }
        layout.headers.append(
            StompFrame.Header(
                nameStart: UInt32(line.lowerBound),
                nameEnd: UInt32(colon),
                valueEnd: UInt32(line.upperBound),
                name: name,
                hasBareColon: hasSecondColon && !name.isOwnedByBroker
            )
        )
        layout.names |= name.bit
        colon = 0
        hasSecondColon = false
    }

    /// One more than the limit, for the CR of the blank line.
    private var headersEndMax: Int { headersStart + limits.headerBytesMax + 1 }

    private var headersTooLarge: StompError { .headersTooLarge(limit: limits.headerBytesMax) }

    private func nulInHeaders(at offset: Int) -> StompError {
        offset <= headersEndMax ? .nulInHeaders(line: layout.headers.count + 1) : headersTooLarge
    }

    /// The end of a line without its CR, where a CR belongs to the line end.
    @inline(__always)
    private func lineEnd(_ span: RawSpan, _ lineFeed: Int, _ version: StompVersion?) -> Int {
        guard version == .v12 || version == nil, lineFeed > lineStart,
            span[byte: lineFeed - 1] == .carriageReturn
        else { return lineFeed }
        return lineFeed - 1
    }

    // MARK: Body

    private mutating func beginBody(_ span: RawSpan, _ version: StompVersion?) throws(StompError) {
        if hasSpecials {
            let headers = headersStart..<layout.headersEnd
            layout.hasBackslash = span.firstOffset(of: .backslash, in: headers) != nil
            layout.hasCarriageReturn = span.firstOffset(of: .carriageReturn, in: headers) != nil
        }
        if layout.hasBackslash, let version, version > .v10, !layout.command.isNeverEscaped {
            try checkEscapes(span, version)
        }
        layout.bodyStart = position
        guard layout.names & StompHeaderName.contentLength.bit != 0 else {
            phase = .bodyToNul
            return
        }
        let length = try readContentLength(span, version)
        guard length <= bodyBytesMax(version) else { throw bodyTooLarge(version) }
        layout.bodyEnd = position + length
        phase = .bodyOfLength
    }

    private func checkEscapes(_ span: RawSpan, _ version: StompVersion) throws(StompError) {
        for header in layout.headers {
            let line = header.nameRange.lowerBound..<header.valueRange.upperBound
            guard StompEscaping.isValid(span, line, version: version) else {
                throw .undefinedEscape(
                    header: Self.printable(span, header.nameRange),
                    version: version
                )
            }
        }
    }

    private func readContentLength(
        _ span: RawSpan,
        _ version: StompVersion?
    ) throws(StompError) -> Int {
        let header = layout.headers[contentLengthRow]
        let isPadded = version == nil || version == .v10
        let range =
            isPadded ? StompFrame.trimmed(span, header.valueRange) : header.valueRange
        guard let length = StompInteger.parse(span, range) else {
            if StompInteger.isNumber(span, range) { throw bodyTooLarge(version) }
            throw .badContentLength(Self.printable(span, header.valueRange))
        }
        return Int(length)
    }

    private func scanBodyOfLength(_ span: RawSpan) throws(StompError) -> Int? {
        guard span.byteCount > layout.bodyEnd else { return nil }
        guard span[byte: layout.bodyEnd] == 0 else {
            throw .bodyNotEndedByNul(contentLength: layout.bodyEnd - layout.bodyStart)
        }
        return layout.bodyEnd + 1
    }

    private mutating func scanBodyToNul(
        _ span: RawSpan,
        _ version: StompVersion?
    ) throws(StompError) -> Int? {
        let end = span.firstOffset(of: 0, in: position..<span.byteCount)
        position = end ?? span.byteCount
        guard position - layout.bodyStart <= bodyBytesMax(version) else {
            throw bodyTooLarge(version)
        }
        guard let end else { return nil }
        layout.bodyEnd = end
        return end + 1
    }

    private func bodyBytesMax(_ version: StompVersion?) -> Int {
        version == nil
            ? min(limits.bodyBytesMax, StompLimits.bodyBytesBeforeConnectMax) : limits.bodyBytesMax
    }

    private func bodyTooLarge(_ version: StompVersion?) -> StompError {
        version == nil
            ? .bodyBeforeConnect(limit: bodyBytesMax(nil))
            : .bodyTooLarge(limit: limits.bodyBytesMax)
    }

    /// A few bytes for an error text: printable ASCII, the rest as `.`; never more than 32.
    private static func printable(_ span: RawSpan, _ range: Range<Int>) -> String {
        var text = ""
        for offset in range.prefix(32) {
            let byte = span[byte: offset]
            text.unicodeScalars.append(
                byte >= 32 && byte < 127 ? Unicode.Scalar(byte) : Unicode.Scalar(UInt8(ascii: "."))
            )
        }
        return text
    }
}
