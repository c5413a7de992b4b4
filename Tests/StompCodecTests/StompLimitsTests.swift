import Testing

@testable import StompCodec

struct StompLimitsTests {
    /// Whole, byte by byte, and in threes.
    private func parsed(
        _ text: String,
        _ limits: StompLimits,
        version: StompVersion? = .v12
    ) -> [Parsed] {
        let bytes = Array(text.utf8)
        let threes = stride(from: 0, to: bytes.count, by: 3).map {
            Array(bytes[$0..<min($0 + 3, bytes.count)])
        }
        return [[bytes], bytes.map { [$0] }, threes].map {
            parse(pieces: $0, version: version, limits: limits)
        }
    }

    @Test("a body of max_body bytes passes, one more is an error that names it")
    func body() {
        let limits = StompLimits(bodyBytesMax: 10)
        for result in parsed("SEND\ncontent-length:10\n\n0123456789\0", limits) {
            #expect(result.frames.count == 1)
        }
        for result in parsed("SEND\ncontent-length:11\n\n0123456789A\0", limits) {
            #expect(result == Parsed(error: .bodyTooLarge(limit: 10)))
        }
        #expect(StompError.bodyTooLarge(limit: 10).explanation.contains("max_body = 10"))
    }

    @Test("a body up to NUL has the same limit")
    func bodyToNul() {
        let limits = StompLimits(bodyBytesMax: 10)
        for result in parsed("SEND\n\n0123456789\0", limits) { #expect(result.frames.count == 1) }
        for result in parsed("SEND\n\n0123456789A\0", limits) {
            #expect(result == Parsed(error: .bodyTooLarge(limit: 10)))
        }
    }

    @Test("a too large content-length fails before its body arrives")
    func announced() {
        let result = parse("SEND\ncontent-length:16777217\n\n")
        #expect(result.error == .bodyTooLarge(limit: 16 << 20))
    }

    @Test("before CONNECT a body is held to a small limit")
    func beforeConnect() {
        let limit = StompLimits.bodyBytesBeforeConnectMax
        let fits =
            "CONNECT\ncontent-length:\(limit)\n\n" + String(repeating: "x", count: limit) + "\0"
        #expect(parse(fits, version: nil).frames.count == 1)
        let tooLong = parse("CONNECT\ncontent-length:\(limit + 1)\n\n", version: nil)
        #expect(tooLong.error == .bodyBeforeConnect(limit: limit))
    }

    @Test("max_headers header lines pass, one more is an error that names it")
    func headerCount() {
        let limits = StompLimits(headersMax: 3)
        for result in parsed("SEND\na:1\nb:2\nc:3\n\n\0", limits) {
            #expect(result.frames.count == 1)
        }
        for result in parsed("SEND\na:1\nb:2\nc:3\nd:4\n\n\0", limits) {
            #expect(result == Parsed(error: .tooManyHeaders(limit: 3)))
        }
        #expect(StompError.tooManyHeaders(limit: 3).explanation.contains("max_headers = 3"))
    }

    @Test("max_header_bytes of header lines pass, one more is an error that names it")
    func headerBytes() {
        let limits = StompLimits(headerBytesMax: 12)
        for end in ["\n", "\r\n"] {
            for result in parsed("SEND\(end)a:123\nb:456\n\(end)\0", limits) {
                #expect(result.frames.count == 1)
            }
        }
        for result in parsed("SEND\na:123\nb:4567\n\n\0", limits) {
            #expect(result == Parsed(error: .headersTooLarge(limit: 12)))
        }
        #expect(StompError.headersTooLarge(limit: 12).explanation.contains("max_header_bytes = 12"))
    }

    @Test("a header line that never ends fails at the limit")
    func endlessLine() {
        let limits = StompLimits(headerBytesMax: 100)
        let result = parse("SEND\na:" + String(repeating: "x", count: 200), limits: limits)
        #expect(result.error == .headersTooLarge(limit: 100))
    }
}
