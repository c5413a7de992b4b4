import Base
import NIOCore
import NIOWebSocket

/// The bytes of STOMP within WebSocket messages, both ways.
///
/// In: where messages and fragments begin means nothing, a frame of STOMP may begin and end anywhere.
/// Out: one message for each frame and heart-beat, text if the client's first message was text and
/// the frame is UTF-8, else binary.
/// The client's close frame is to the session what the end of a TCP stream is; closing our side sends
/// ours. A broken frame ends the session with an ERROR and the fault's close code.
///
/// Confinement: broker loop.
final class WebSocketStream: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let session: StompSession
    private var reader: WebSocketFrameReader
    private var splitter = StompFrameSplitter()
    /// Parts of a STOMP frame whose end has not been written yet.
    private var parts: [ByteBuffer] = []
    private var isOpen = false
    /// The client's close frame, or a fault: what comes then is not read.
    private var isInputEnded = false
    private var isCloseSent = false
    private var closeCode = WebSocketErrorCode.normalClosure
    private var closeReason = ""

    /// Larger parts are cheaper to write apart than to copy.
    private static let copiedBytesMax = 16 << 10
    /// What a control frame can hold besides the code.
    private static let reasonBytesMax = 123

    init(_ session: StompSession, frameBytesMax: Int) {
        self.session = session
        reader = WebSocketFrameReader(frameBytesMax: frameBytesMax)
    }

    /// The answer to the client's request is written: from now on there are frames.
    func open() { isOpen = true }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard isOpen, !isInputEnded else { return }
        var bytes = unwrapInboundIn(data)
        var payload = context.channel.allocator.buffer(capacity: bytes.readableBytes)
        var pong: ByteBuffer?
        do throws(WebSocketFault) {
            while let event = try reader.next(&bytes, into: &payload) {
                switch event {
                case .ping(let text): pong = text
                case .pong: break
                case .close(let code):
                    if let code, !isCloseSent { closeCode = code }
                    isInputEnded = true
                }
                if isInputEnded { break }
            }
            handOn(payload, context)
        } catch {
            handOn(payload, context)
            end(error)
        }
        // The last of many pings is answered for all: RFC 6455, 5.5.3.
        if let pong, !isCloseSent {
            writeFrame(.pong, pong, context)
            context.flush()
        }
        if isInputEnded, !hasFailed {
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    private var hasFailed: Bool { !closeReason.isEmpty }

    private func handOn(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        if payload.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(payload))
        } else {
            session.heard()
        }
    }

    private func end(_ fault: WebSocketFault) {
        isInputEnded = true
        closeCode = fault.code
        closeReason = fault.text
        session.loop.beginTurn()
        session.fail("bad WebSocket frame", "The WebSocket is closed: \(fault.text).")
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var bytes = unwrapOutboundIn(data)
        guard bytes.readableBytes > 0, isOpen else {
            context.write(data, promise: promise)
            return
        }
        var wire = context.channel.allocator.buffer(capacity: bytes.readableBytes + 16)
        while let (part, isEnd) = splitter.next(&bytes) {
            parts.append(part)
            if isEnd { writeMessage(&wire, context) }
        }
        if wire.readableBytes > 0 || promise != nil {
            context.write(wrapOutboundOut(wire), promise: promise)
        }
    }

    /// Writes what `parts` holds as one message; the last of it may stay in `wire`.
    private func writeMessage(_ wire: inout ByteBuffer, _ context: ChannelHandlerContext) {
        let isText = reader.firstMessage != .binary && parts.allSatisfy(Self.isText)
        let byteCount = parts.reduce(0) { $0 + $1.readableBytes }
        Self.writeHead(isText ? .text : .binary, byteCount, &wire)
        for part in parts {
            if part.readableBytes <= Self.copiedBytesMax {
                wire.writeImmutableBuffer(part)
            } else {
                context.write(wrapOutboundOut(wire), promise: nil)
                context.write(wrapOutboundOut(part), promise: nil)
                wire = context.channel.allocator.buffer(capacity: 64)
            }
        }
        parts.removeAll(keepingCapacity: false)
    }

    /// No character spans two parts: they are cut at the begin and the end of a body.
    private static func isText(_ part: ByteBuffer) -> Bool {
        var check = UTF8Check()
        check.take(part.readableBytesSpan, from: 0)
        return check.isWhole
    }

    private func writeFrame(
        _ opcode: WebSocketOpcode,
        _ payload: ByteBuffer,
        _ context: ChannelHandlerContext,
        _ promise: EventLoopPromise<Void>? = nil
    ) {
        var frame = context.channel.allocator.buffer(capacity: payload.readableBytes + 2)
        Self.writeHead(opcode, payload.readableBytes, &frame)
        frame.writeImmutableBuffer(payload)
        context.write(wrapOutboundOut(frame), promise: promise)
    }

    private static func writeHead(
        _ opcode: WebSocketOpcode,
        _ byteCount: Int,
        _ out: inout ByteBuffer
    ) {
        out.writeInteger(0x80 | UInt8(webSocketOpcode: opcode))
        switch byteCount {
        case 0...125:
            out.writeInteger(UInt8(byteCount))
        case 126...0xFFFF:
            out.writeMultipleIntegers(UInt8(126), UInt16(byteCount))
        default:
            out.writeMultipleIntegers(UInt8(127), UInt64(byteCount))
        }
    }

    // MARK: The end

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isOpen, !isCloseSent, mode != .input else {
            context.close(mode: mode, promise: promise)
            return
        }
        isCloseSent = true
        var payload = ByteBuffer()
        payload.write(webSocketErrorCode: closeCode)
        payload.writeBytes(closeReason.utf8.prefix(Self.reasonBytesMax))
        let written = context.eventLoop.makePromise(of: Void.self)
        // The end of the socket takes back what is not written. A session that is tired of waiting
        // closes once more, and that comes through at once.
        if mode == .all {
            written.futureResult.assumeIsolated().whenComplete { _ in
                context.close(mode: .all, promise: promise)
            }
        }
        writeFrame(.connectionClose, payload, context, written)
        context.flush()
        if mode == .output { context.close(mode: .output, promise: promise) }
    }
}
