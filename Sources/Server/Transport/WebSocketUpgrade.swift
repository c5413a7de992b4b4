import Base
import Logging
import NIOCore
import NIOHTTP1
import NIOWebSocket
import StompCodec

/// Answers one HTTP request: with the change to WebSocket, or with the reason why not.
///
/// It stands between NIO's HTTP handlers and `WebSocketStream`. After the answer all of HTTP, itself
/// included, leaves the pipeline.
///
/// Confinement: broker loop.
final class WebSocketUpgrade: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    typealias Decoder = ByteToMessageHandler<HTTPRequestDecoder>

    private enum State {
        case waiting
        case accepted(HTTPRequestHead, StompVersion?)
        case refused
        case done
    }

    private let session: StompSession
    private let stream: WebSocketStream
    private let setup: ListenerSetup
    private var state = State.waiting

    /// Most bytes of the request's head; browsers with many cookies send a few KiB.
    static let headBytesMax = 16 << 10
    private static let headersMax = 100

    init(
        _ session: StompSession,
        _ stream: WebSocketStream,
        _ setup: ListenerSetup
    ) {
        self.session = session
        self.stream = stream
        self.setup = setup
    }

    /// Adds the handlers of HTTP, this one last.
    static func add(_ upgrade: WebSocketUpgrade, to channel: any Channel) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = headBytesMax
        limits.maxHeaderListSize = headBytesMax
        limits.maxHeaderFieldCount = headersMax
        let decoder = HTTPRequestDecoder(
            leftOverBytesStrategy: .forwardBytes,
            limitConfiguration: limits
        )
        try channel.pipeline.syncOperations.addHandlers(
            HTTPResponseEncoder(),
            ByteToMessageHandler(decoder),
            upgrade
        )
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .done: context.fireChannelRead(data)
        case .refused: break
        case .waiting:
            guard case .head(let head) = unwrapInboundIn(data) else { return }
            do throws(WebSocketRequest.Refusal) {
                state = .accepted(head, try WebSocketRequest.check(head, setup.origins))
            } catch {
                refuse(error, context)
            }
        case .accepted(let head, let version):
            switch unwrapInboundIn(data) {
            case .end: accept(head, version, context)
            case .head, .body:
                refuse(
                    .init(status: .badRequest, text: "A WebSocket request has no body."),
                    context
                )
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else {
            context.fireErrorCaught(error)
            return
        }
        switch state {
        case .waiting, .accepted:
            let isTooLong = error == .headerOverflow
            let limit = "\(ByteCount(Self.headBytesMax)) and \(Self.headersMax) headers"
            refuse(
                .init(
                    status: isTooLong ? .requestHeaderFieldsTooLarge : .badRequest,
                    text: isTooLong
                        ? "The head of a request may have \(limit)."
                        : "This is no HTTP request. STOMP without WebSocket has a port of its own."
                ),
                context
            )
        case .refused, .done: break
        }
    }

    // MARK: Answers

    private func accept(
        _ head: HTTPRequestHead,
        _ version: StompVersion?,
        _ context: ChannelHandlerContext
    ) {
        var extra = HTTPHeaders()
        if let version { extra.add(name: "sec-websocket-protocol", value: name(version)) }
        let upgrader = NIOWebSocketServerUpgrader(
            shouldUpgrade: { [extra] channel, _ in channel.eventLoop.makeSucceededFuture(extra) },
            upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() }
        )
        upgrader.buildUpgradeResponse(
            channel: context.channel,
            upgradeRequest: head,
            initialResponseHeaders: HTTPHeaders()
        ).assumeIsolated().whenComplete { [self] result in
            do {
                let answer = HTTPResponseHead(
                    version: .http1_1,
                    status: .switchingProtocols,
                    headers: try result.get()
                )
                context.write(wrapOutboundOut(.head(answer)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                try leave(version, context)
            } catch {
                context.close(promise: nil)
            }
        }
    }

    private func name(_ version: StompVersion) -> String { WebSocketRequest.name(version) }

    /// Takes HTTP out of the pipeline.
    ///
    /// What the client sent behind its request comes through then.
    private func leave(_ version: StompVersion?, _ context: ChannelHandlerContext) throws {
        let handlers = context.pipeline.syncOperations
        let encoder = try handlers.context(handlerType: HTTPResponseEncoder.self)
        let decoder = try handlers.context(handlerType: Decoder.self)
        state = .done
        handlers.removeHandler(context: encoder).assumeIsolated().flatMap { [self] in
            stream.open()
            session.handshakeDone(version: version)
            return handlers.removeHandler(context: decoder)
        }.flatMap {
            handlers.removeHandler(context: context)
        }.whenFailure { _ in
            // Only a connection that is gone cannot be changed.
            context.close(promise: nil)
        }
    }

    private func refuse(_ refusal: WebSocketRequest.Refusal, _ context: ChannelHandlerContext) {
        state = .refused
        session.loop.beginTurn()
        session.loop.logRefusal(
            "WebSocket refused",
            [
                LogKeys.peer: "\(session.peer)",
                LogKeys.reason: "\(refusal.status.code): \(refusal.text)",
            ]
        )
        let body = ByteBuffer(string: refusal.text + "\n")
        var headers = HTTPHeaders([
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", "\(body.readableBytes)"),
            ("connection", "close"),
        ])
        for (name, value) in refusal.headers.sorted(by: { $0.key < $1.key }) {
            headers.add(name: name, value: value)
        }
        let answer = HTTPResponseHead(version: .http1_1, status: refusal.status, headers: headers)
        context.write(wrapOutboundOut(.head(answer)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        session.turnAway()
    }
}
