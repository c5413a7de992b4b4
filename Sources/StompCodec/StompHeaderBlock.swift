import ByteSpans
package import NIOCore

// The canonical header block, in which headers are kept with a message (`docs/format.md`, "Header
// block"): lines of `name:value\n`, escaped as STOMP 1.2 escapes them, in the sender's order,
// repeated ones included, without the headers that the broker itself writes.
//
// In:  STOMP 1.2 and 1.1 headers are escaped already; what they may leave bare (a colon in a value, a
//      CR in 1.1) is escaped. STOMP 1.0 headers are plain, so every backslash, colon and CR is.
// Out: STOMP 1.2 gets the block as it is. STOMP 1.1 has no escape for CR and allows it bare: `\r`
//      becomes a CR. STOMP 1.0 has no escapes at all: they are undone, but a line feed becomes a
//      space, for it would end the header, and so does a colon in a name.

extension StompFrame {
    /// The canonical block of this frame's headers.
    ///
    /// When the lines to keep stand together and need no change, the result is a slice of the
    /// received bytes. Otherwise the block is written to the end of `scratch` and the result shares
    /// its storage: clear `scratch` between frames, but never count on the result being a copy.
    package func canonicalBlock(using scratch: inout ByteBuffer) -> ByteBuffer {
        guard let first = layout.headers.firstIndex(where: { !$0.name.isOwnedByBroker }) else {
            return ByteBuffer()
        }
        if let range = unchangedRun(from: first) {
            return slice(range) ?? ByteBuffer()
        }
        let start = scratch.writerIndex
        appendCanonicalBlock(to: &scratch)
        return scratch.getSlice(at: start, length: scratch.writerIndex - start) ?? ByteBuffer()
    }

    /// The canonical block of this frame's headers with another value for one of them, which must need
    /// no escaping; its first line stands at the end, the others of its name are gone.
    package func canonicalBlock(replacing name: StompHeaderName, with value: String) -> ByteBuffer {
        var block = ByteBuffer()
        var other = self
        other.layout.headers.removeAll()
        for header in layout.headers where header.name != name {
            other.layout.headers.append(header)
        }
        other.appendCanonicalBlock(to: &block)
        block.writeString("\(name.text):\(value)\n")
        return block
    }

    /// Appends the canonical block of this frame's headers.
    package func appendCanonicalBlock(to out: inout ByteBuffer) {
        let span = span
        // At most every byte is escaped.
        let length = layout.headersEnd
        out.write(upTo: needsEscaping ? 2 * length : length) { cursor in
            for header in layout.headers where !header.name.isOwnedByBroker {
                if isUnchanged(header) {
                    cursor.append(span, Int(header.nameStart)..<Int(header.valueEnd))
                } else {
                    appendEscaped(span, header.nameRange, to: &cursor)
                    cursor.append(.colon)
                    appendEscaped(span, header.valueRange, to: &cursor)
                }
                cursor.append(.lineFeed)
            }
        }
    }

    /// The bytes of all lines to keep, if they stand together and are canonical as they are.
    private func unchangedRun(from first: Int) -> Range<Int>? {
        guard !layout.hasCarriageReturn, isEscaped || !layout.hasBackslash else { return nil }
        var end = layout.headers[first].nameStart
        for header in layout.headers[first...] where !header.name.isOwnedByBroker {
            guard header.nameStart == end, !header.hasBareColon else { return nil }
            end = header.valueEnd + 1
        }
        return Int(layout.headers[first].nameStart)..<Int(end)
    }

    private var needsEscaping: Bool {
        layout.hasBackslash || layout.hasCarriageReturn
            || layout.headers.contains { $0.hasBareColon }
    }

    private func isUnchanged(_ header: Header) -> Bool {
        !header.hasBareColon && !layout.hasCarriageReturn && (isEscaped || !layout.hasBackslash)
    }

    private func appendEscaped(_ span: RawSpan, _ range: Range<Int>, to cursor: inout ByteCursor) {
        for offset in range {
            switch span[byte: offset] {
            case .colon:
                cursor.append("\\c")
            case .carriageReturn:
                cursor.append("\\r")
            case .backslash where !isEscaped:
                cursor.append("\\\\")
            case let byte:
                cursor.append(byte)
            }
        }
    }
}

/// Writes canonical blocks for clients.
enum StompHeaderBlock {
    /// Appends a block as a client of `version` reads it; never longer than the block itself.
    @inline(__always)
    static func write(_ block: RawSpan, for version: StompVersion, to cursor: inout ByteCursor) {
        let isVerbatim =
            version == .v12 || block.firstOffset(of: .backslash, in: 0..<block.byteCount) == nil
        if isVerbatim {
            cursor.append(block)
        } else {
            writeUnescaped(block, for: version, to: &cursor)
        }
    }

    private static func writeUnescaped(
        _ block: RawSpan,
        for version: StompVersion,
        to cursor: inout ByteCursor
    ) {
        var offset = 0
        var isInName = true
        while offset < block.byteCount {
            let byte = block[byte: offset]
            offset += 1
            if byte == .colon { isInName = false }
            if byte == .lineFeed { isInName = true }
            guard byte == .backslash, offset < block.byteCount else {
                cursor.append(byte)
                continue
            }
            let code = block[byte: offset]
            offset += 1
            let plain = StompEscaping.unescaped(code, version: .v12) ?? code
            if version == .v11 {
                if plain != .carriageReturn { cursor.append(.backslash) }
                cursor.append(plain == .carriageReturn ? plain : code)
            } else {
                let isImpossible = plain == .lineFeed || (plain == .colon && isInName)
                cursor.append(isImpossible ? .space : plain)
            }
        }
    }
}
