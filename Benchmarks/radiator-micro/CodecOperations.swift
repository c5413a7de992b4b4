import NIOCore
import StompCodec

/// What the codec does with a frame.
enum CodecOperations {
    static let all = [
        Operation(name: "parse-send", prepare: parse),
        Operation(name: "write-message", prepare: writeMessage),
        Operation(name: "write-receipt", prepare: writeReceipt),
    ]

    /// One SEND frame parsed, down to the header block and body that are kept; 40 frames per read.
    private static func parse(_ directory: String) throws -> Operation.Work {
        var received = ByteBuffer()
        for number in 100..<140 {
            received.writeString("SEND\ndestination:/queue/orders\nreceipt:r-\(number)\n")
            received.writeBytes(Sample.headers)
            received.writeString("content-length:\(Sample.body.count)\n\n")
            received.writeBytes(Sample.body)
            received.writeString("\0\n")
        }
        var parser = StompParser(version: .v12)
        var frame = StompFrame()
        var scratch = ByteBuffer()
        func read(_ times: Int) throws -> Int {
            var count = 0
            for _ in 0..<times {
                parser.feed(received)
                while try parser.next(into: &frame) {
                    scratch.clear()
                    let headers = frame.canonicalBlock(using: &scratch)
                    guard headers.readableBytes == Sample.headers.count,
                        frame.body.readableBytes == Sample.body.count
                    else { throw WrongRun("a frame was parsed wrongly") }
                    count += 1
                }
            }
            return count
        }
        _ = try read(2)
        return { try read(100) }
    }

    /// One MESSAGE written for a STOMP 1.2 client, 40 per flush.
    private static func writeMessage(_ directory: String) throws -> Operation.Work {
        let serializer = StompSerializer(version: .v12)
        let head = StompMessageHead(
            prefix: serializer.messagePrefix(
                subscription: ByteBuffer(string: "0"),
                destination: "/queue/orders"
            ),
            id: StompMessageID(queue: 7, sequence: 4_820_113),
            ack: StompAckID(subscription: 1, delivery: 120_391),
            redeliveries: 0
        )
        let headers = ByteBuffer(bytes: Sample.headers)
        let body = ByteBuffer(bytes: Sample.body)
        return write { serializer.writeMessage(head, headers: headers, body: body, into: &$0) }
    }

    /// One RECEIPT written, 40 per flush.
    private static func writeReceipt(_ directory: String) throws -> Operation.Work {
        let serializer = StompSerializer(version: .v12)
        let id = Array("r-100".utf8)
        return write { serializer.writeReceipt(id.span.bytes, into: &$0) }
    }

    /// Writes 4,000 frames into a buffer that is used again.
    private static func write(_ frame: @escaping (inout ByteBuffer) -> Void) -> Operation.Work {
        var output = ByteBuffer()
        func flush() {
            output.clear()
            for _ in 0..<40 { frame(&output) }
        }
        flush()
        return {
            for _ in 0..<100 { flush() }
            return 4000
        }
    }
}
