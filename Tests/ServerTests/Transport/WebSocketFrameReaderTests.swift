import NIOCore
import NIOWebSocket
import Testing

@testable import Server

/// One frame as a client writes it.
private func frame(
    _ opcode: UInt8,
    _ payload: [UInt8] = [],
    isFinal: Bool = true
) -> [UInt8] {
    let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    var bytes = [(isFinal ? 0x80 : 0) | opcode]
    switch payload.count {
    case 0...125: bytes.append(0x80 | UInt8(payload.count))
    case 126...0xFFFF:
        bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default:
        bytes.append(0x80 | 127)
        bytes += (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
    }
    return bytes + mask + payload.enumerated().map { $0.element ^ mask[$0.offset % 4] }
}

/// What a reader makes of bytes that come in parts of this size.
private func read(
    _ bytes: [UInt8],
    partSize: Int = .max,
    frameBytesMax: Int = 1 << 20
) throws(WebSocketFault) -> (payload: [UInt8], events: [WebSocketFrameReader.Event]) {
    var reader = WebSocketFrameReader(frameBytesMax: frameBytesMax)
    var payload = ByteBuffer()
    var events: [WebSocketFrameReader.Event] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        var part = ByteBuffer(bytes: rest.prefix(partSize))
        rest = rest.dropFirst(partSize)
        while let event = try reader.next(&part, into: &payload) { events.append(event) }
    }
    return (Array(payload.readableBytesView), events)
}

@Suite struct WebSocketFrameReaderTests {
    @Test(
        "messages and control frames come out whole, however their bytes are cut",
        arguments: [1, 2, 3, 5, 7, 8, 13, 1000, Int.max]
    )
    func parts(partSize: Int) throws {
        let long = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let euro = Array("a€".utf8)
        let bytes =
            frame(1, Array("SEND".utf8)) + frame(2, Array(long.prefix(300)), isFinal: false)
            + frame(9, [1, 2, 3]) + frame(0, [], isFinal: false) + frame(10) + frame(0, long)
            + frame(1, Array(euro.prefix(2)), isFinal: false) + frame(0, Array(euro.dropFirst(2)))
            + frame(8, [0x0F, 0xA0] + Array("bye".utf8))
        let (payload, events) = try read(bytes, partSize: partSize)
        #expect(payload == Array("SEND".utf8) + Array(long.prefix(300)) + long + euro)
        let code = WebSocketErrorCode(codeNumber: 4000)
        #expect(events == [.ping(ByteBuffer(bytes: [1, 2, 3])), .pong, .close(code)])
    }

    @Test(
        "a frame that RFC 6455 forbids is a fault with its code",
        arguments: [
            ([0x81, 0x01, 0x61], "not masked"), ([0xC1, 0x80], "reserved bit"),
            ([0x83, 0x80], "opcode 3"), ([0x8F, 0x80], "opcode 15"),
            ([0x80, 0x80], "no message"), ([0x09, 0x80], "fragmented"),
            ([0x89, 0xFE, 0x00, 0x7E], "more than 125"),
            ([0x81, 0xFE, 0x00, 0x7D], "shortest"),
            ([0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "shortest"),
            ([0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], "shortest"),
            (frame(8, [3]), "half a code"), (frame(8, [0x03, 0xEC]), "1004"),
            (frame(8, [0, 0]), "0 is no code"),
            (frame(1, [0x61], isFinal: false) + frame(2, [0x61]), "within another"),
        ] as [([UInt8], String)]
    )
    func forbidden(bytes: [UInt8], text: String) {
        for size in [1, Int.max] {
            let fault = #expect(throws: WebSocketFault.self) { try read(bytes, partSize: size) }
            #expect(fault?.code == .protocolError)
            #expect(fault?.text.contains(text) == true, "\(fault?.text ?? "")")
        }
    }

    @Test("a frame at the limit passes, one past it closes with 1009 before its payload has come")
    func limit() throws {
        let payload = [UInt8](repeating: 0x61, count: 1000)
        #expect(try read(frame(2, payload), frameBytesMax: 1000).payload == payload)
        let fault = #expect(throws: WebSocketFault.self) {
            try read(Array(frame(2, payload + [0x61]).prefix(4)), frameBytesMax: 1000)
        }
        #expect(fault?.code == .messageTooLarge)
    }

    @Test(
        "text that is no UTF-8 closes with 1007, also when it is cut off at the end of the message",
        arguments: [
            frame(1, [0xFF]), frame(1, [0xE2, 0x82]),
            frame(1, [0xE2], isFinal: false) + frame(0, [0x41]),
            frame(8, [0x03, 0xE8, 0xC0]),
        ]
    )
    func noText(bytes: [UInt8]) {
        let fault = #expect(throws: WebSocketFault.self) { try read(bytes) }
        #expect(fault?.code == .dataInconsistentWithMessage)
    }

    @Test("the first message says whether the client's messages are text")
    func firstMessage() throws {
        for (opcode, kind) in [(UInt8(1), WebSocketOpcode.text), (2, .binary)] {
            var reader = WebSocketFrameReader(frameBytesMax: 100)
            #expect(reader.firstMessage == nil)
            var bytes = ByteBuffer(bytes: frame(9) + frame(opcode) + frame(3 - opcode))
            var payload = ByteBuffer()
            while try reader.next(&bytes, into: &payload) != nil {}
            #expect(reader.firstMessage == kind)
        }
    }
}

@Suite struct UTF8CheckTests {
    @Test("it agrees with the standard library on every short sequence, whole and byte by byte")
    func agrees() {
        let interesting: [UInt8] = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
            0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        for number in 0..<(interesting.count * interesting.count * interesting.count) {
            let count = interesting.count
            let bytes = [
                interesting[number / count / count], interesting[number / count % count],
                interesting[number % count], 0x80, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41,
            ]
            for length in [1, 2, 3, 4, 10] {
                let part = Array(bytes.prefix(length))
                let isText = String(validating: part, as: UTF8.self) != nil
                var whole = UTF8Check()
                whole.take(ByteBuffer(bytes: part).readableBytesSpan, from: 0)
                var single = UTF8Check()
                for byte in part {
                    single.take(ByteBuffer(bytes: [byte]).readableBytesSpan, from: 0)
                }
                if whole.isWhole != isText || single.isWhole != isText {
                    Issue.record("\(part): \(isText)")
                }
            }
        }
    }

    @Test("what is cut off is broken at the end, and not before")
    func cutOff() {
        var check = UTF8Check()
        check.take(ByteBuffer(bytes: [0x41, 0xE2, 0x82]).readableBytesSpan, from: 0)
        #expect(!check.isBroken)
        #expect(!check.isWhole)
        check.end()
        #expect(check.isBroken)
    }
}
