import ByteSpans
import NIOCore
import Testing

/// Lending and writing bytes without NIO's checks of exclusive access.
@Suite struct ByteSpanTests {
    private func bytes(_ count: Int, from first: Int) -> [UInt8] {
        (first..<first + count).map { UInt8(truncatingIfNeeded: $0) }
    }

    @Test(
        "two pieces stand behind what was there, whatever room there was",
        arguments: [(0, 0), (1, 0), (0, 1), (3, 5), (700, 300), (1, 70_000)]
    )
    func append(first: Int, second: Int) {
        let pieces = (bytes(first, from: 1), bytes(second, from: 100))
        for room in [0, 4, first, first + second, 1 << 17] {
            for before in ["", "before"] {
                var buffer = ByteBufferAllocator().buffer(capacity: room)
                buffer.writeString(before)
                buffer.append(pieces.0.span.bytes, pieces.1.span.bytes)
                #expect(Array(buffer.readableBytesView) == Array(before.utf8) + pieces.0 + pieces.1)
            }
        }
    }

    @Test("who shares the buffer keeps what was in it")
    func shared() {
        var buffer = ByteBuffer(string: "mine")
        let other = buffer
        let slice = buffer.getSlice(at: 1, length: 2)
        buffer.append(([1, 2, 3] as [UInt8]).span.bytes, ([4] as [UInt8]).span.bytes)
        #expect(other == ByteBuffer(string: "mine"))
        #expect(slice == ByteBuffer(string: "in"))
        #expect(buffer == ByteBuffer(bytes: Array("mine".utf8) + [1, 2, 3, 4]))
    }

    @Test("what is lent are the readable bytes")
    func lent() {
        var buffer = ByteBuffer(string: "0123456789")
        buffer.moveReaderIndex(forwardBy: 3)
        let copied = buffer.byteSpan.withUnsafeBytes { Array($0) }
        #expect(copied == Array("3456789".utf8))
    }
}
