import NIOCore
import Testing

@testable import StompCodec

struct StompParserTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var version: StompVersion?
        var frame: SeenFrame
        var testDescription: String { name }
    }

    static let valid: [Case] = [
        Case(
            name: "a SEND with a body up to NUL",
            text: "SEND\ndestination:/queue/a\n\nhello\0",
            version: .v12,
            frame: SeenFrame(.send, ["destination:/queue/a"], "hello")
        ),
        Case(
            name: "a body with NUL inside its content-length",
            text: "SEND\ndestination:/queue/a\ncontent-length:5\n\na\0b\0c\0",
            version: .v12,
            frame: SeenFrame(.send, ["destination:/queue/a", "content-length:5"], "a\0b\0c")
        ),
        Case(
            name: "an empty body with content-length 0",
            text: "SEND\ncontent-length:0\n\n\0",
            version: .v10,
            frame: SeenFrame(.send, ["content-length:0"])
        ),
        Case(
            name: "the first of two content-lengths counts",
            text: "SEND\ncontent-length:2\ncontent-length:1\n\nab\0",
            version: .v11,
            frame: SeenFrame(.send, ["content-length:2", "content-length:1"], "ab")
        ),
        Case(
            name: "no headers at all",
            text: "DISCONNECT\n\n\0",
            version: .v12,
            frame: SeenFrame(.disconnect)
        ),
        Case(
            name: "CRLF line ends in 1.2",
            text: "ACK\r\nid:1-2\r\n\r\n\0",
            version: .v12,
            frame: SeenFrame(.ack, ["id:1-2"])
        ),
        Case(
            name: "CRLF line ends before CONNECT",
            text: "CONNECT\r\naccept-version:1.2\r\nhost:h\r\n\r\n\0",
            version: nil,
            frame: SeenFrame(.connect, ["accept-version:1.2", "host:h"])
        ),
        Case(
            name: "CR belongs to the value in 1.1",
            text: "SEND\na:b\r\n\n\0",
            version: .v11,
            frame: SeenFrame(.send, ["a:b\r"])
        ),
        Case(
            name: "only one CR belongs to the line end",
            text: "SEND\r\na:b\r\r\n\r\n\0",
            version: .v12,
            frame: SeenFrame(.send, ["a:b\r"])
        ),
        Case(
            name: "bare colons in a value",
            text: "SEND\nurl:http://h:80/\n\n\0",
            version: .v12,
            frame: SeenFrame(.send, ["url:http://h:80/"])
        ),
        Case(
            name: "an empty value",
            text: "SEND\nempty:\n\n\0",
            version: .v12,
            frame: SeenFrame(.send, ["empty:"])
        ),
        Case(
            name: "spaces are part of a 1.2 value",
            text: "SEND\na: b \n\n\0",
            version: .v12,
            frame: SeenFrame(.send, ["a: b "])
        ),
        Case(
            name: "STOMP instead of CONNECT",
            text: "STOMP\naccept-version:1.2\n\n\0",
            version: nil,
            frame: SeenFrame(.stomp, ["accept-version:1.2"])
        ),
        Case(
            name: "a backslash in CONNECT is no escape",
            text: "CONNECT\nlogin:domain\\user\n\n\0",
            version: nil,
            frame: SeenFrame(.connect, ["login:domain\\user"])
        ),
        Case(
            name: "a backslash in 1.0 is no escape",
            text: "SEND\npath:C:\\temp\n\n\0",
            version: .v10,
            frame: SeenFrame(.send, ["path:C:\\temp"])
        ),
    ]

    @Test("a valid frame is read whole, byte by byte and glued to others", arguments: valid)
    func validFrame(_ example: Case) {
        let bytes = Array(example.text.utf8)
        let expected = Parsed(frames: [example.frame])
        #expect(parse(pieces: [bytes], version: example.version) == expected)
        #expect(parse(pieces: bytes.map { [$0] }, version: example.version) == expected)
        let glued = parse(
            pieces: [bytes + [10] + bytes + [13, 10, 10] + bytes],
            version: example.version
        )
        #expect(glued == Parsed(frames: [example.frame, example.frame, example.frame]))
    }

    @Test("every command is known by its word", arguments: StompCommand.allCases)
    func commands(_ command: StompCommand) {
        #expect(parse("\(command.word)\n\n\0").frames == [SeenFrame(command)])
    }

    @Test("every known header name is classified", arguments: StompHeaderName.allCases)
    func names(_ name: StompHeaderName) throws {
        guard name != .other else { return }
        let parsed = try frame("CONNECT\n\(name.text):7\n\n1234567\0", version: .v12)
        #expect(parsed.headers.map(\.name) == [name])
        #expect(parsed.has(name))
        #expect(parsed.string(name) == "7")
        #expect(parsed.integer(name) == 7)
    }

    struct Broken: Sendable, CustomTestStringConvertible {
        var text: String
        var version: StompVersion?
        var error: StompError
        var testDescription: String { "\(error)" }
    }

    static let broken: [Broken] = [
        Broken(text: "HELLO\n\n\0", version: .v12, error: .unknownCommand("HELLO")),
        Broken(text: "send\n\n\0", version: .v12, error: .unknownCommand("send")),
        Broken(text: "SEND \n\n\0", version: .v12, error: .unknownCommand("SEND ")),
        Broken(text: "SEND\r\n\r\n\0", version: .v11, error: .unknownCommand("SEND.")),
        Broken(
            text: "ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n",
            version: .v12,
            error: .unknownCommand("ABCDEFGHIJKLMNOPQ")
        ),
        Broken(text: "ABC\r\n\n\0", version: .v12, error: .unknownCommand("ABC")),
        Broken(text: "SEND\nabc\n\n\0", version: .v12, error: .headerWithoutColon(line: 1)),
        Broken(text: "SEND\na:b\n\r\n\0", version: .v10, error: .headerWithoutColon(line: 2)),
        Broken(text: "SEND\na:b\n:c\n\n\0", version: .v12, error: .emptyHeaderName(line: 2)),
        Broken(text: "DISCONNECT\nreceipt:77\n\0", version: .v12, error: .nulInHeaders(line: 2)),
        Broken(text: "SEND\na:\0\n\n\0", version: .v12, error: .nulInHeaders(line: 1)),
        Broken(text: "SEND\na:\0\nb\n\n\0", version: .v12, error: .nulInHeaders(line: 1)),
        Broken(text: "SEND\na:b\n\0c:\n\n\0", version: .v12, error: .nulInHeaders(line: 2)),
        Broken(
            text: "SEND\na:\\t\n\n\0",
            version: .v12,
            error: .undefinedEscape(header: "a", version: .v12)
        ),
        Broken(
            text: "SEND\na:\\r\n\n\0",
            version: .v11,
            error: .undefinedEscape(header: "a", version: .v11)
        ),
        Broken(
            text: "SEND\na:b\\\n\n\0",
            version: .v12,
            error: .undefinedEscape(header: "a", version: .v12)
        ),
        Broken(
            text: "SEND\na\\x:b\n\n\0",
            version: .v12,
            error: .undefinedEscape(header: "a\\x", version: .v12)
        ),
        Broken(
            text: "SEND\ncontent-length:-1\n\n\0",
            version: .v12,
            error: .badContentLength("-1")
        ),
        Broken(text: "SEND\ncontent-length:\n\n\0", version: .v12, error: .badContentLength("")),
        Broken(
            text: "SEND\ncontent-length:1x\n\n\0",
            version: .v12,
            error: .badContentLength("1x")
        ),
        Broken(
            text: "SEND\ncontent-length:99999999999999999999\n\n\0",
            version: .v12,
            error: .bodyTooLarge(limit: 16 << 20)
        ),
        Broken(
            text: "SEND\ncontent-length:1\n\nab\0",
            version: .v12,
            error: .bodyNotEndedByNul(contentLength: 1)
        ),
    ]

    @Test("a broken frame is an error that says where, whole or byte by byte", arguments: broken)
    func brokenFrame(_ example: Broken) {
        let bytes = Array(example.text.utf8)
        let whole = parse(pieces: [bytes], version: example.version)
        #expect(whole == Parsed(error: example.error))
        let split = parse(pieces: bytes.map { [$0] }, version: example.version)
        #expect(split == whole)
        #expect(!example.error.message.isEmpty && !example.error.explanation.isEmpty)
    }

    @Test("garbage without a line end fails after a few bytes, not after all of it")
    func garbage() {
        let parsed = parse(pieces: [Array(repeating: 0xFE, count: 17)])
        #expect(parsed.error == .unknownCommand("................."))
    }

    @Test("frames before an error come out, and the error stays")
    func poisoned() throws {
        var parser = StompParser(version: .v12)
        parser.feed(ByteBuffer(string: "ACK\nid:1-1\n\n\0BAD\n\n\0ACK\nid:1-1\n\n\0"))
        #expect(try parser.next()?.command == .ack)
        #expect(throws: StompError.unknownCommand("BAD")) { try parser.next() }
        parser.feed(ByteBuffer(string: "ACK\nid:1-1\n\n\0"))
        #expect(throws: StompError.unknownCommand("BAD")) { try parser.next() }
    }

    @Test("a broken frame still tells its receipt")
    func receiptOfBrokenFrame() {
        var parser = StompParser(version: .v12)
        var frame = StompFrame()
        parser.feed(ByteBuffer(string: "SEND\nreceipt:r-1\ncontent-length:x\n\n\0"))
        #expect(throws: StompError.self) { try parser.next(into: &frame) }
        #expect(frame.rawValue(.receipt) == ByteBuffer(string: "r-1"))
    }

    @Test("a frame with a NUL in its headers tells no header of the NUL's line or behind it")
    func receiptBehindNul() {
        for text in ["SEND\nreceipt:a\0b\n\n\0", "SEND\na:\0\nreceipt:1\n\n\0"] {
            for size in [1, text.utf8.count] {
                var parser = StompParser(version: .v12)
                var frame = StompFrame()
                let bytes = Array(text.utf8)
                #expect(throws: StompError.nulInHeaders(line: 1)) {
                    for start in stride(from: 0, to: bytes.count, by: size) {
                        parser.feed(ByteBuffer(bytes: bytes[start..<start + size]))
                        while try parser.next(into: &frame) {}
                    }
                }
                #expect(frame.rawValue(.receipt) == nil)
                #expect(!frame.has(.receipt) && frame.headers.isEmpty)
            }
        }
    }

    @Test("of frames that come together each has its own headers, ids, numbers and body")
    func together() throws {
        var parser = StompParser(version: .v12)
        var frame = StompFrame()
        var seen: [UInt64] = []
        let frames = (10..<20).map { number in
            "\nSEND\ndestination:/queue/\(number)\nk:\(number)\nexpires:\(number)\nreceipt:r\(number)\n\n"
                + "body \(number)\0\nACK\nid:\(number)-1\nmessage-id:2-\(number)\n\n\0"
        }
        // Cut in two, so that one frame lies in memory of its own, before others that lie together.
        let text = Array(frames.joined().utf8)
        for piece in [text[..<200], text[200...]] {
            parser.feed(ByteBuffer(bytes: piece))
            while try parser.next(into: &frame) {
                if frame.command == .send {
                    let number = try #require(frame.integer(.expires))
                    #expect(frame.string(.destination) == "/queue/\(number)")
                    #expect(frame.value(.destination, is: "/queue/10") == (number == 10))
                    #expect(frame.rawValue(.receipt) == ByteBuffer(string: "r\(number)"))
                    #expect(frame.valueSpan(.receipt)?.byteCount == 3)
                    #expect(frame.unescapedBytes(.receipt) == Array("r\(number)".utf8))
                    #expect(frame.body == ByteBuffer(string: "body \(number)"))
                    var scratch = ByteBuffer()
                    let block = frame.canonicalBlock(using: &scratch)
                    #expect(String(buffer: block) == "k:\(number)\nexpires:\(number)\n")
                    seen.append(number)
                } else {
                    #expect(frame.ackID == StompAckID(subscription: seen.last ?? 0, delivery: 1))
                    #expect(frame.messageID?.sequence == seen.last)
                }
            }
        }
        #expect(seen == Array(10..<20))
        parser.feed(ByteBuffer(string: frames[0] + "SEND\nreceipt:last\ncontent-length:x\n\n\0"))
        #expect(try parser.next(into: &frame) && parser.next(into: &frame))
        #expect(throws: StompError.self) { try parser.next(into: &frame) }
        #expect(frame.rawValue(.receipt) == ByteBuffer(string: "last"))
    }

    @Test("headers that are too large are that, whole, in pieces or with a NUL behind the limit")
    func tooLargeInPieces() {
        let limits = StompLimits(headerBytesMax: 64)
        let error = StompError.headersTooLarge(limit: 64)
        for count in 60...70 {
            for end in ["", "\0", "\n", "\r\n", "\n\n\0"] {
                let text = "SEND\na:" + String(repeating: "x", count: count - 3) + end
                let whole = parse(text, limits: limits)
                for size in 1...9 {
                    let bytes = Array(text.utf8)
                    let pieces = stride(from: 0, to: bytes.count, by: size).map {
                        Array(bytes[$0..<min($0 + size, bytes.count)])
                    }
                    #expect(
                        parse(pieces: pieces, limits: limits) == whole,
                        "\(count) \(end) \(size)"
                    )
                }
                // With the line's end `count` bytes, of which 64 are allowed; one more may be the CR of a blank line.
                if count > 66 { #expect(whole.error == error, "\(count) \(end)") }
                if count < 63 { #expect(whole.error != error, "\(count) \(end)") }
            }
        }
    }

    @Test("what is kept of an unfinished frame is counted, and nothing else")
    func unfinished() throws {
        var parser = StompParser(version: .v12)
        var frame = StompFrame()
        let text = Array("\n\nSEND\ncontent-length:3\n\nabc\0\n\nACK\nid:1-1\n\n\0SEND\n".utf8)
        for size in 1...text.count {
            for start in stride(from: 0, to: text.count, by: size) {
                parser.feed(ByteBuffer(bytes: text[start..<min(start + size, text.count)]))
                while try parser.next(into: &frame) {}
                #expect(parser.unfinishedByteCount == parser.waitingByteCount, "\(size) \(start)")
            }
            #expect(parser.unfinishedByteCount == 5, "\(size)")
            parser.discard()
            #expect(parser.unfinishedByteCount == 0)
            parser = StompParser(version: .v12)
        }
    }

    @Test("line ends alone are no frame")
    func heartBeats() {
        #expect(parse("\n\n\r\n\n") == Parsed())
        #expect(parse("\n\nABORT\ntransaction:t\n\n\0\n").frames.count == 1)
    }

    @Test("the first of repeated headers counts")
    func repeated() throws {
        let parsed = try frame("SEND\ndestination:/queue/a\ndestination:/queue/b\n\n\0")
        #expect(parsed.string(.destination) == "/queue/a")
    }

    @Test("padding is dropped for 1.0 and before CONNECT only")
    func padding() throws {
        let text = "SUBSCRIBE\nack: client \n\n\0"
        #expect(try frame(text, version: .v10).value(.ack, is: "client"))
        #expect(try frame(text, version: nil).string(.ack) == "client")
        #expect(try frame(text, version: .v12).string(.ack) == " client ")
        #expect(try frame(text, version: .v10).rawValue(.ack) == ByteBuffer(string: " client "))
    }

    @Test("values are unescaped by version")
    func unescaping() throws {
        let text = "SEND\ntransaction:a\\cb\\nc\\\\d\n\n\0"
        #expect(try frame(text, version: .v10).string(.transaction) == "a\\cb\\nc\\\\d")
        #expect(try frame(text, version: .v11).string(.transaction) == "a:b\nc\\d")
        let newer = try frame("SEND\ntransaction:a\\rb\n\n\0", version: .v12)
        #expect(newer.string(.transaction) == "a\rb")
    }

    @Test("a body that is kept survives what is received after it")
    func keptBody() throws {
        var parser = StompParser(version: .v12)
        parser.feed(ByteBuffer(string: "SEND\n\nfirst\0SEND\n\nsec"))
        let first = try #require(try parser.next()).body
        #expect(try parser.next() == nil)
        parser.feed(ByteBuffer(string: "ond\0"))
        let second = try #require(try parser.next()).body
        #expect(String(buffer: first) == "first")
        #expect(String(buffer: second) == "second")
    }

    @Test("a large body in many pieces comes out whole")
    func largeBody() throws {
        let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) }
        var parser = StompParser(version: .v12)
        parser.feed(ByteBuffer(string: "SEND\ncontent-length:\(body.count)\n\n"))
        for start in stride(from: 0, to: body.count, by: 65536) {
            #expect(try parser.next() == nil)
            parser.feed(ByteBuffer(bytes: body[start..<min(start + 65536, body.count)]))
        }
        parser.feed(ByteBuffer(string: "\0ACK\nid:1-1\n\n\0"))
        #expect(try #require(try parser.next()).body == ByteBuffer(bytes: body))
        #expect(try parser.next()?.command == .ack)
    }
}
