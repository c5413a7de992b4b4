import ByteSpans
import NIOCore
import Testing

/// Lending bytes without NIO's checks of exclusive access.
@Suite struct ByteSpanTests {
    @Test("what is lent are the readable bytes")
    func lent() {
        var buffer = ByteBuffer(string: "0123456789")
        buffer.moveReaderIndex(forwardBy: 3)
        let copied = buffer.byteSpan.withUnsafeBytes { Array($0) }
        #expect(copied == Array("3456789".utf8))
    }
}
