import NIOCore
import StompCodec
import Testing

@testable import Server

@Suite struct StompFrameSplitterTests {
    /// What the broker writes, frame by frame.
    private func frames(bodyByteCount: Int) -> [ByteBuffer] {
        var serializer = StompSerializer()
        serializer.version = .v12
        func written(_ write: (StompSerializer, inout ByteBuffer) -> Void) -> ByteBuffer {
            var buffer = ByteBuffer()
            write(serializer, &buffer)
            return buffer
        }
        let head = StompMessageHead(
            prefix: serializer.messagePrefix(
                subscription: ByteBuffer(string: "s"),
                destination: "/queue/q"
            ),
            id: StompMessageID(queue: 1, sequence: 2),
            ack: nil,
            redeliveries: 0
        )
        // A body with all that could be taken for an end, and headers of a client's own.
        let pattern = Array("\0\n\0\n\nRECEIPT\n\n\0content-length:1\n\n".utf8)
        let body = ByteBuffer(bytes: (0..<bodyByteCount).map { pattern[$0 % pattern.count] })
        let long = String(repeating: "x", count: 300)
        let headers = ByteBuffer(string: "a:content-length\nlong:\(long)\n")
        return [
            written {
                $0.writeConnected(
                    StompConnected(session: "s", server: "t", heartBeat: .none),
                    into: &$1
                )
            },
            written { $0.writeReceipt(ByteBuffer(string: "r").readableBytesSpan, into: &$1) },
            written { $0.writeHeartBeat(into: &$1) },
            written { $0.writeMessage(head, headers: headers, body: body, into: &$1) },
            written {
                $0.writeError(
                    StompErrorFrame(message: "m", explanation: "€", receiptID: nil),
                    into: &$1
                )
            },
            written { $0.writeHeartBeat(into: &$1) },
        ]
    }

    @Test("what is written together comes out frame by frame", arguments: [0, 1, 5, 1000])
    func together(bodyByteCount: Int) {
        let frames = frames(bodyByteCount: bodyByteCount)
        var all = ByteBuffer()
        for frame in frames { all.writeImmutableBuffer(frame) }
        var splitter = StompFrameSplitter()
        var found: [ByteBuffer] = []
        while let (part, isEnd) = splitter.next(&all) {
            #expect(isEnd)
            found.append(part)
        }
        #expect(found == frames)
    }

    @Test("a body that is written apart belongs to its frame")
    func apart() {
        let message = frames(bodyByteCount: 1000)[3]
        let bodyStart = message.readableBytes - 1002
        var splitter = StompFrameSplitter()
        var found: [(ByteBuffer, Bool)] = []
        for range in [0..<bodyStart, bodyStart..<(bodyStart + 1000)] {
            var part = ByteBuffer(bytes: message.readableBytesView[range])
            while let piece = splitter.next(&part) { found.append((piece.part, piece.isEnd)) }
        }
        #expect(found.map(\.1) == [false, false])
        var end = ByteBuffer(string: "\0\n\nRECEIPT\nreceipt-id:r\n\n\0\n")
        while let piece = splitter.next(&end) { found.append((piece.part, piece.isEnd)) }
        #expect(found.map(\.1) == [false, false, true, true, true])
        #expect(found.map(\.0.readableBytes) == [bodyStart, 1000, 2, 1, 24])
    }
}
