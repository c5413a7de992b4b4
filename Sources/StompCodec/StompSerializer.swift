import ByteSpans
package import NIOCore

/// What a CONNECTED frame says.
package struct StompConnected: Sendable {
    /// A session id without colons.
    package var session: String
    package var server: String
    package var heartBeat: HeartBeat

    package init(session: String, server: String, heartBeat: HeartBeat) {
        self.session = session
        self.server = server
        self.heartBeat = heartBeat
    }
}

/// What an ERROR frame says.
package struct StompErrorFrame: Sendable {
    package var message: String
    package var explanation: String
    /// The value of the receipt header that was received, as received.
    package var receiptID: ByteBuffer?
    /// Lists the versions that the broker speaks, after a negotiation that failed.
    package var listsVersions = false

    package init(message: String, explanation: String, receiptID: ByteBuffer? = nil) {
        self.message = message
        self.explanation = explanation
        self.receiptID = receiptID
    }
}

/// What the broker adds to a stored message when it delivers it.
package struct StompMessageHead: Sendable {
    /// The frame's beginning for one subscription and destination, by `messagePrefix`.
    package var prefix: [UInt8]
    package var id: StompMessageID
    /// Written for STOMP 1.2; nil when no acknowledgement is expected.
    package var ack: StompAckID?
    package var redeliveries: UInt32

    package init(
        prefix: [UInt8],
        id: StompMessageID,
        ack: StompAckID?,
        redeliveries: UInt32
    ) {
        self.prefix = prefix
        self.id = id
        self.ack = ack
        self.redeliveries = redeliveries
    }
}

/// Writes the server's frames, for a client of one version, to the end of a buffer.
///
/// A line end follows each frame's NUL: all versions allow it, other brokers send it, and there are
/// clients that wait for it.
///
/// MESSAGE and RECEIPT allocate nothing but what the buffer grows by.
package struct StompSerializer: Sendable {
    /// Nil before CONNECT: then nothing is escaped.
    package var version: StompVersion?

    package init(version: StompVersion? = nil) {
        self.version = version
    }

    /// Room for everything in a MESSAGE but prefix, header block and body: names and decimals.
    private static let messageHeadBytesMax = 224
    /// Room for everything in a RECEIPT but its id.
    private static let receiptBytesMax = 32

    /// One heart-beat.
    package func writeHeartBeat(into out: inout ByteBuffer) {
        out.writeInteger(UInt8.lineFeed)
    }

    /// CONNECTED; its headers are not escaped in any version.
    package func writeConnected(_ connected: StompConnected, into out: inout ByteBuffer) {
        out.writeString("CONNECTED\nversion:\((version ?? .v10).rawValue)\n")
        out.writeString("heart-beat:\(connected.heartBeat.headerValue)\n")
        out.writeString("session:\(connected.session)\nserver:\(connected.server)\n\n\0\n")
    }

    /// RECEIPT.
    ///
    /// The id is the receipt header's value as it was received, still escaped.
    package func writeReceipt(_ id: RawSpan, into out: inout ByteBuffer) {
        out.write(upTo: id.byteCount + Self.receiptBytesMax) { cursor in
            cursor.append("RECEIPT\nreceipt-id:")
            cursor.append(id)
            cursor.append("\n\n\0\n")
        }
    }

    /// ERROR, with a body of plain text.
    package func writeError(_ error: StompErrorFrame, into out: inout ByteBuffer) {
        out.writeString("ERROR\n")
        if error.listsVersions { out.writeString("version:\(StompVersion.supported)\n") }
        out.writeString("message:")
        out.writeBytes(StompEscaping.encode(error.message, version: version))
        if let receiptID = error.receiptID {
            out.writeString("\nreceipt-id:")
            out.writeImmutableBuffer(receiptID)
        }
        let body = error.explanation + "\n"
        out.writeString("\ncontent-type:text/plain\ncontent-length:\(body.utf8.count)\n\n")
        out.writeString(body)
        writeMessageEnd(into: &out)
    }

    /// The beginning of every MESSAGE for one subscription and destination; keep it.
    ///
    /// `subscription` is the client's own id as it was received, still escaped; nil when a STOMP 1.0
    /// client gave none.
    package func messagePrefix(subscription: ByteBuffer?, destination: String) -> [UInt8] {
        var prefix = ByteBuffer()
        prefix.writeString("MESSAGE\n")
        if let subscription {
            prefix.writeString("subscription:")
            prefix.writeImmutableBuffer(subscription)
            prefix.writeString("\n")
        }
        prefix.writeString("destination:")
        prefix.writeBytes(StompEscaping.encode(destination, version: version))
        prefix.writeString("\nmessage-id:")
        return Array(buffer: prefix)
    }

    /// MESSAGE: what the broker adds, then the stored headers, then the body.
    package func writeMessage(
        _ head: StompMessageHead,
        headers: ByteBuffer,
        body: ByteBuffer,
        into out: inout ByteBuffer
    ) {
        let bodyByteCount = body.readableBytes
        out.write(upTo: Self.headCapacity(head, headers) + bodyByteCount + 2) { cursor in
            append(head, headers, bodyByteCount, to: &cursor)
            cursor.append(body.byteSpan)
            cursor.append(0)
            cursor.append(.lineFeed)
        }
    }

    /// MESSAGE up to its body, which the caller writes apart, and then `writeMessageEnd`.
    package func writeMessageHead(
        _ head: StompMessageHead,
        headers: ByteBuffer,
        bodyByteCount: Int,
        into out: inout ByteBuffer
    ) {
        out.write(upTo: Self.headCapacity(head, headers)) { cursor in
            append(head, headers, bodyByteCount, to: &cursor)
        }
    }

    /// What follows a body.
    package func writeMessageEnd(into out: inout ByteBuffer) {
        out.writeMultipleIntegers(UInt8(0), UInt8.lineFeed)
    }

    @inline(__always)
    private static func headCapacity(_ head: StompMessageHead, _ headers: ByteBuffer) -> Int {
        head.prefix.count + headers.readableBytes + messageHeadBytesMax
    }

    @inline(__always)
    private func append(
        _ head: StompMessageHead,
        _ headers: ByteBuffer,
        _ bodyByteCount: Int,
        to cursor: inout ByteCursor
    ) {
        let version = version ?? .v10
        cursor.append(head.prefix.span.bytes)
        cursor.append(decimal: UInt64(head.id.queue))
        cursor.append(.hyphen)
        cursor.append(decimal: head.id.sequence)
        if version == .v12, let ack = head.ack {
            cursor.append("\nack:")
            cursor.append(decimal: ack.subscription)
            cursor.append(.hyphen)
            cursor.append(decimal: ack.delivery)
        }
        cursor.append("\ncontent-length:")
        cursor.append(decimal: UInt64(bodyByteCount))
        if head.redeliveries > 0 {
            cursor.append("\nredelivered:true\ndelivery-count:")
            // The delivery that is being written counts, too.
            cursor.append(decimal: UInt64(head.redeliveries) + 1)
        }
        cursor.append(.lineFeed)
        StompHeaderBlock.write(headers.byteSpan, for: version, to: &cursor)
        cursor.append(.lineFeed)
    }
}
