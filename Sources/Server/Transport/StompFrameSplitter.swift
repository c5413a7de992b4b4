import NIOCore

/// Finds where the frames that the broker writes begin and end, so that each can go out alone.
///
/// It reads only what the serializer wrote: heads come in one piece, and a body that may hold a NUL
/// has its `content-length` before all headers of clients.
struct StompFrameSplitter {
    /// Bytes of the open frame still to come, its NUL and the line end behind it included; 0 between
    /// frames.
    private var left = 0

    /// Takes the next frame off, or the next part of one.
    ///
    /// `isEnd` says whether a frame, or a heart-beat, is complete with it.
    mutating func next(_ bytes: inout ByteBuffer) -> (part: ByteBuffer, isEnd: Bool)? {
        guard bytes.readableBytes > 0 else { return nil }
        if left == 0 { left = Self.length(bytes.readableBytesSpan) }
        let count = min(left, bytes.readableBytes)
        guard let part = bytes.readSlice(length: count) else { return nil }
        left -= count
        return (part, left == 0)
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let contentLength = Array("content-length:".utf8)

    /// The length of the frame, or of the line end, that the bytes begin with.
    private static func length(_ bytes: RawSpan) -> Int {
        if byte(bytes, 0) == lineFeed { return 1 }
        var bodyByteCount: Int?
        var start = 0
        while start < bytes.byteCount {
            var end = start
            while end < bytes.byteCount, byte(bytes, end) != lineFeed { end += 1 }
            if end == start {
                let body = start + 1
                return body + (bodyByteCount ?? textLength(bytes, from: body)) + 2
            }
            if bodyByteCount == nil { bodyByteCount = number(bytes, start, end) }
            start = end + 1
        }
        return bytes.byteCount
    }

    @inline(__always)
    private static func byte(_ bytes: RawSpan, _ index: Int) -> UInt8 {
        bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }

    /// The value of a line, if it is the length of the body.
    private static func number(_ bytes: RawSpan, _ start: Int, _ end: Int) -> Int? {
        guard end - start > contentLength.count else { return nil }
        for index in contentLength.indices
        where byte(bytes, start + index) != contentLength[index] {
            return nil
        }
        var value = 0
        for index in (start + contentLength.count)..<end {
            value = value * 10 + Int(byte(bytes, index) &- UInt8(ascii: "0"))
        }
        return value
    }

    /// Bytes up to the NUL of a frame that does not tell its length.
    private static func textLength(_ bytes: RawSpan, from start: Int) -> Int {
        var end = start
        while end < bytes.byteCount, byte(bytes, end) != 0 { end += 1 }
        return end - start
    }
}
