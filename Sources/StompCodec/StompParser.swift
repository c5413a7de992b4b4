import ByteSpans
package import NIOCore

/// Turns received bytes into frames, whatever pieces they arrive in.
///
/// Pure and incremental: no clock, no socket, no allocation per frame. A complete frame is parsed
/// where it was received; only the beginning of an unfinished one is copied, once per `feed`.
///
///     parser.feed(bytes)
///     while try parser.next(into: &frame) { ... }
///
/// After an error every further call throws it again, for the stream has no frame border any more.
package struct StompParser: Sendable {
    /// What the peer speaks; set it as soon as it is agreed, between two frames.
    ///
    /// Nil before CONNECT.
    package var version: StompVersion?

    private var bytes = ByteBuffer()
    /// True if `bytes` is the parser's own copy, to which more may be added.
    private var isOwnCopy = false
    private var scanner: StompFrameScanner
    private var failure: StompError?

    /// An unfinished frame of this size or more gets memory for its whole length by doubling, so
    /// that a peer must send bytes before they cost memory.
    private static let reserveBytesMax = 1 << 20

    package init(limits: StompLimits = StompLimits(), version: StompVersion? = nil) {
        scanner = StompFrameScanner(limits: limits)
        self.version = version
    }

    /// Bytes of an unfinished frame that the parser keeps.
    ///
    /// Its memory is at most twice that. Kept, for other modules would copy the parser to have it computed.
    package private(set) var unfinishedByteCount = 0

    /// Lets go of what was received; nothing more can be parsed in a sensible way.
    package mutating func discard() {
        bytes = ByteBuffer()
        isOwnCopy = false
        unfinishedByteCount = 0
    }

    /// Takes in what was received; returns before looking at it.
    package mutating func feed(_ received: ByteBuffer) {
        if bytes.readableBytes == 0 {
            bytes = received
            isOwnCopy = false
            unfinishedByteCount = 0
        } else {
            keepRest()
            bytes.writeImmutableBuffer(received)
            unfinishedByteCount = bytes.readableBytes
        }
    }

    /// Fills `frame` with the next frame; false if there is none yet.
    ///
    /// `frame` is then empty.
    package mutating func next(into frame: inout StompFrame) throws(StompError) -> Bool {
        if let failure { throw failure }
        if !scanner.hasCommand { skipLineEnds() }
        let length: Int?
        do throws(StompError) {
            length = try Self.scan(&scanner, bytes, version)
        } catch {
            failure = error
            handOver(to: &frame, length: bytes.readableBytes)
            throw error
        }
        guard let length else {
            frame.letGo()
            keepRest()
            return false
        }
        handOver(to: &frame, length: length)
        bytes.moveReaderIndex(forwardBy: length)
        if isOwnCopy { unfinishedByteCount = bytes.readableBytes }
        return true
    }

    /// The next frame, if it is complete.
    ///
    /// Allocates; for tests and tools.
    package mutating func next() throws(StompError) -> StompFrame? {
        var frame = StompFrame()
        return try next(into: &frame) ? frame : nil
    }

    /// Gives the frame what was scanned.
    ///
    /// After an error these are the headers before the bad place,
    /// so that its ERROR can name the receipt.
    private mutating func handOver(to frame: inout StompFrame, length: Int) {
        // Of the frames that came together only the first takes hold of the buffer.
        if !frame.received.isSame(as: bytes) { frame.received = bytes }
        let start = bytes.readerIndex - frame.received.readerIndex
        frame.place = start..<start + length
        frame.version = version
        swap(&frame.layout, &scanner.layout)
        scanner.reset()
    }

    /// Apart from `self`, so that the scanner may change while the bytes are borrowed.
    @inline(__always)
    private static func scan(
        _ scanner: inout StompFrameScanner,
        _ bytes: ByteBuffer,
        _ version: StompVersion?
    ) throws(StompError) -> Int? {
        try scanner.scan(bytes.byteSpan, version: version)
    }

    /// Bytes that were fed and are part of no frame yet.
    package var waitingByteCount: Int { bytes.readableBytes }

    /// True if nothing but line ends waits.
    package var isIdle: Bool { Self.lineEndCount(bytes) == bytes.readableBytes }

    private mutating func skipLineEnds() {
        let count = Self.lineEndCount(bytes)
        if count > 0 { bytes.moveReaderIndex(forwardBy: count) }
    }

    private static func lineEndCount(_ bytes: ByteBuffer) -> Int {
        let span = bytes.byteSpan
        var count = 0
        while count < span.byteCount,
            span[byte: count] == .lineFeed || span[byte: count] == .carriageReturn
        {
            count += 1
        }
        return count
    }

    /// Copies an unfinished frame out of the receive buffer, which the connection wants back.
    private mutating func keepRest() {
        guard bytes.readableBytes > 0 else { return discard() }
        guard !isOwnCopy || bytes.readerIndex > 0 else { return }
        let expected = min(scanner.frameByteCount ?? 0, Self.reserveBytesMax)
        var copy = ByteBufferAllocator().buffer(capacity: max(bytes.readableBytes, expected))
        copy.writeImmutableBuffer(bytes)
        bytes = copy
        isOwnCopy = true
        unfinishedByteCount = copy.readableBytes
    }
}
