import NIOCore
import Testing

@testable import StompCodec

struct StompHeaderBlockTests {
    @Test("what the broker writes itself is left out, all else stays in its order")
    func ownedHeaders() throws {
        let lines = """
            destination:/queue/a
            b:2
            receipt:r
            content-length:4
            a:1
            transaction:t
            message-id:m
            subscription:s
            ack:x
            redelivered:true
            delivery-count:3
            content-type:text/plain
            reply-to:/temp-queue/x
            a:again
            """
        #expect(
            try canonicalBlock(lines, version: .v12)
                == "b:2\na:1\ncontent-type:text/plain\nreply-to:/temp-queue/x\na:again\n"
        )
    }

    @Test("a frame with nothing of its own has an empty block")
    func empty() throws {
        #expect(try canonicalBlock("destination:/queue/a\ncontent-length:4", version: .v12) == "")
    }

    @Test("headers that stand together are a slice of the received bytes")
    func slice() throws {
        let send = try frame("SEND\ndestination:/queue/a\na:1\nb:2\nreceipt:7\n\n\0")
        var scratch = ByteBuffer()
        let block = send.canonicalBlock(using: &scratch)
        #expect(String(buffer: block) == "a:1\nb:2\n")
        #expect(scratch.readableBytes == 0)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var line: String
        var version: StompVersion
        var block: String
        var testDescription: String { "\(version.rawValue) \(line)" }
    }

    static let incoming = [
        Case(line: "a:b\\nc\\\\d\\ce\\r", version: .v12, block: "a:b\\nc\\\\d\\ce\\r\n"),
        Case(line: "a:b:c", version: .v12, block: "a:b\\cc\n"),
        Case(line: "a:b\\:c", version: .v10, block: "a:b\\\\\\cc\n"),
        Case(line: "a:x\ry", version: .v12, block: "a:x\\ry\n"),
        Case(line: "a:b\\n\\c\\\\", version: .v11, block: "a:b\\n\\c\\\\\n"),
        Case(line: "a:b\r", version: .v11, block: "a:b\\r\n"),
        Case(line: "a:C:\\temp\\n\r", version: .v10, block: "a:C\\c\\\\temp\\\\n\\r\n"),
        Case(line: "a\\b:c", version: .v10, block: "a\\\\b:c\n"),
        Case(line: "a:b\r\nc:d", version: .v12, block: "a:b\nc:d\n"),
    ]

    @Test("headers of each version become STOMP 1.2 lines", arguments: incoming)
    func toCanonical(_ example: Case) throws {
        #expect(try canonicalBlock(example.line, version: example.version) == example.block)
    }

    static let outgoing = [
        Case(line: "a:1\nb:2\n", version: .v10, block: "a:1\nb:2\n"),
        Case(line: "a:\\\\ \\n \\c \\r\n", version: .v12, block: "a:\\\\ \\n \\c \\r\n"),
        Case(line: "a:\\\\ \\n \\c \\r.\n", version: .v11, block: "a:\\\\ \\n \\c \r.\n"),
        Case(line: "a:\\\\ \\n \\c \\r.\n", version: .v10, block: "a:\\   : \r.\n"),
        Case(line: "n\\ca\\\\:v\\c\nm\\c:w\n", version: .v10, block: "n a\\:v:\nm :w\n"),
    ]

    @Test("a block is written as each version reads it", arguments: outgoing)
    func fromCanonical(_ example: Case) {
        var out = ByteBuffer()
        out.write(upTo: example.line.utf8.count) { cursor in
            StompHeaderBlock.write(
                ByteBuffer(string: example.line).readableBytesSpan,
                for: example.version,
                to: &cursor
            )
        }
        #expect(String(buffer: out) == example.block)
    }

    @Test(
        "a value survives the way through the block in its own version",
        arguments: StompVersion.allCases
    )
    func roundTrip(_ version: StompVersion) throws {
        let value = StompEscaping.encode("a:b\\c tail", version: version)
        let send = try frame(
            "SEND\nx:\(String(decoding: value, as: UTF8.self))\n\n\0",
            version: version
        )
        var block = ByteBuffer()
        send.appendCanonicalBlock(to: &block)
        var out = ByteBuffer(string: "MESSAGE\n")
        out.write(upTo: block.readableBytes) { cursor in
            StompHeaderBlock.write(block.readableBytesSpan, for: version, to: &cursor)
        }
        out.writeString("\n\0")
        let message = try frame(String(buffer: out), version: version)
        let range = try #require(message.headers.first).valueRange
        let span = message.span
        let read = StompEscaping.decode(span, range, escapes: version == .v10 ? nil : version)
        #expect(read == "a:b\\c tail")
    }
}
