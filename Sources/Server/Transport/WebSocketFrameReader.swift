import NIOCore
import NIOWebSocket

/// What a client did wrong with WebSocket frames, and the code to close with.
struct WebSocketFault: Error, Equatable {
    let code: WebSocketErrorCode
    let text: String
}

/// Takes the frames of RFC 6455 off a client's bytes, as they come.
///
/// Payloads are handed on at once, in part, so that neither a long frame nor a fragmented message
/// takes memory here; only a control frame, of 125 bytes at most, is kept until it is whole. That is
/// why this is not NIO's decoder, which keeps whole frames.
///
/// Extensions are not spoken, so reserved bits and opcodes are faults.
struct WebSocketFrameReader {
    /// What stands between messages, or in them.
    enum Event: Equatable {
        case ping(ByteBuffer)
        case pong
        /// The client's last frame; nil without a code.
        case close(WebSocketErrorCode?)
    }

    /// The part of a frame that comes next.
    private enum Step { case first, second, length, mask, payload }

    private let frameBytesMax: UInt64
    private var step = Step.first
    private var opcode = WebSocketOpcode.continuation
    private var isFinal = false
    /// Payload bytes still to come; while a length is read, the part that was read.
    private var left: UInt64 = 0
    /// Bytes of `length` or `mask` still to come.
    private var fieldBytesLeft = 0
    private var isLongLength = false
    /// Turned so that its highest byte is for the next byte of the payload.
    private var mask: UInt32 = 0
    private var control = ByteBuffer()
    /// The kind of the message that is open, between its first and its last fragment.
    private var message: WebSocketOpcode?
    private var text = UTF8Check()

    /// The kind of the client's first message; nil before it.
    private(set) var firstMessage: WebSocketOpcode?

    private static let controlBytesMax: UInt64 = 125

    init(frameBytesMax: Int) {
        self.frameBytesMax = UInt64(frameBytesMax)
    }

    /// Takes from `bytes` up to the next event; nil if there was none and `bytes` is used up.
    ///
    /// What belongs to messages is appended to `payload`.
    mutating func next(
        _ bytes: inout ByteBuffer,
        into payload: inout ByteBuffer
    ) throws(WebSocketFault) -> Event? {
        while true {
            if step == .payload {
                take(&bytes, into: &payload)
                try checkText()
                if left > 0 { return nil }
                step = .first
                if let event = try endFrame() { return event }
            } else {
                guard let byte = bytes.readInteger(as: UInt8.self) else { return nil }
                try readHead(byte)
            }
        }
    }

    // MARK: Heads

    private mutating func readHead(_ byte: UInt8) throws(WebSocketFault) {
        switch step {
        case .first: try readFirst(byte)
        case .second: try readSecond(byte)
        case .length:
            left = left << 8 | UInt64(byte)
            fieldBytesLeft -= 1
            if fieldBytesLeft == 0 {
                let isShortest = left > (isLongLength ? 0xFFFF : 125)
                guard isShortest, left >> 63 == 0 else {
                    throw Self.broken("a length is not written in its shortest form")
                }
                try beginMask()
            }
        case .mask:
            mask = mask << 8 | UInt32(byte)
            fieldBytesLeft -= 1
            if fieldBytesLeft == 0 { step = .payload }
        case .payload: break
        }
    }

    private mutating func readFirst(_ byte: UInt8) throws(WebSocketFault) {
        guard byte & 0x70 == 0 else { throw Self.broken("a reserved bit is set") }
        guard let opcode = WebSocketOpcode(encodedWebSocketOpcode: byte & 0x0F) else {
            throw Self.broken("opcode \(byte & 0x0F) is unknown")
        }
        isFinal = byte & 0x80 != 0
        self.opcode = opcode
        switch opcode {
        case .continuation:
            guard message != nil else { throw Self.broken("there is no message to go on with") }
        case .text, .binary:
            guard message == nil else { throw Self.broken("a message began within another one") }
            message = opcode
            if firstMessage == nil { firstMessage = opcode }
            text = UTF8Check()
        case .ping, .pong, .connectionClose:
            guard isFinal else { throw Self.broken("a control frame is fragmented") }
        default:
            throw Self.broken("opcode \(byte & 0x0F) is unknown")
        }
        step = .second
    }

    private mutating func readSecond(_ byte: UInt8) throws(WebSocketFault) {
        guard byte & 0x80 != 0 else { throw Self.broken("a client's frame is not masked") }
        let length = UInt64(byte & 0x7F)
        guard length <= Self.controlBytesMax || !isControl else {
            throw Self.broken("a control frame has more than \(Self.controlBytesMax) bytes")
        }
        left = 0
        isLongLength = length == 127
        switch length {
        case 126: fieldBytesLeft = 2
        case 127: fieldBytesLeft = 8
        default:
            left = length
            try beginMask()
            return
        }
        step = .length
    }

    private mutating func beginMask() throws(WebSocketFault) {
        guard left <= frameBytesMax else {
            throw WebSocketFault(
                code: .messageTooLarge,
                text: "a frame has \(left) bytes, more than \(frameBytesMax)"
            )
        }
        step = .mask
        mask = 0
        fieldBytesLeft = 4
        control.clear()
    }

    private var isControl: Bool { opcode.isControlOpcode }

    private static func broken(_ text: String) -> WebSocketFault {
        WebSocketFault(code: .protocolError, text: text)
    }

    // MARK: Payloads

    private mutating func take(_ bytes: inout ByteBuffer, into payload: inout ByteBuffer) {
        let count = Int(min(left, UInt64(bytes.readableBytes)))
        guard count > 0, let part = bytes.readSlice(length: count) else { return }
        left -= UInt64(count)
        if isControl {
            Self.append(part, to: &control, &mask)
        } else {
            let start = payload.readableBytes
            Self.append(part, to: &payload, &mask)
            if message == .text { text.take(payload.readableBytesSpan, from: start) }
        }
    }

    /// Appends a part of a payload without its mask, and turns the mask for the next part.
    private static func append(
        _ part: ByteBuffer,
        to buffer: inout ByteBuffer,
        _ mask: inout UInt32
    ) {
        let start = buffer.readableBytes
        let count = part.readableBytes
        buffer.writeImmutableBuffer(part)
        let eight = UInt64(mask) << 32 | UInt64(mask)
        var span = buffer.mutableReadableBytesSpan
        var index = start
        let end = start + count
        while index + 8 <= end {
            let word = span.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
            span.storeBytes(of: word ^ eight.bigEndian, toByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < end {
            let key = UInt8(truncatingIfNeeded: mask >> UInt32(24 - 8 * ((index - start) % 4)))
            let byte = span.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt8.self)
            span.storeBytes(of: byte ^ key, toByteOffset: index, as: UInt8.self)
            index += 1
        }
        let turned = UInt32(8 * (count % 4))
        mask = mask << turned | (turned == 0 ? 0 : mask >> (32 - turned))
    }

    private func checkText() throws(WebSocketFault) {
        guard !text.isBroken else {
            throw WebSocketFault(
                code: .dataInconsistentWithMessage,
                text: "a text message is no UTF-8"
            )
        }
    }

    private mutating func endFrame() throws(WebSocketFault) -> Event? {
        switch opcode {
        case .ping: return .ping(control)
        case .pong: return .pong
        case .connectionClose: return .close(try closeCode())
        default:
            guard isFinal else { return nil }
            if message == .text { text.end() }
            try checkText()
            message = nil
            return nil
        }
    }

    /// The code of a close frame; nil if there is none.
    private mutating func closeCode() throws(WebSocketFault) -> WebSocketErrorCode? {
        guard control.readableBytes > 0 else { return nil }
        guard let number = control.readInteger(as: UInt16.self) else {
            throw Self.broken("a close frame has half a code")
        }
        switch number {
        case 1000...1003, 1007...1014, 3000...4999: break
        default: throw Self.broken("\(number) is no code to close with")
        }
        var reason = UTF8Check()
        reason.take(control.readableBytesSpan, from: 0)
        guard reason.isWhole else {
            throw WebSocketFault(
                code: .dataInconsistentWithMessage,
                text: "the reason of a close frame is no UTF-8"
            )
        }
        return WebSocketErrorCode(codeNumber: Int(number))
    }
}
