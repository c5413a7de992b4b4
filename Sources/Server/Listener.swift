import Base
import Glibc
import Logging
package import NIOCore
import NIOPosix
import NIOSSL
import StompCodec

/// Accepts STOMP connections on one address, plain, through TLS or through WebSocket.
package final class StompListener: Sendable {
    private let channel: any Channel
    private let setup: NIOLoopBound<ListenerSetup>

    /// What the kernel may hold for us between two turns.
    private static let backlog: Int32 = 4096
    /// When the kernel first asks a silent peer; it gives up about ten minutes later.
    private static let keepAliveIdleSeconds = 300
    /// What the kernel takes of a connection's output beyond what is on the network.
    private static let unsentBytesMax = 128 << 10
    /// What a WebSocket frame may have beyond one STOMP frame: several small ones.
    private static let webSocketBytesExtra = 64 << 10

    private init(channel: any Channel, setup: NIOLoopBound<ListenerSetup>) {
        self.channel = channel
        self.setup = setup
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    package var address: SocketAddress? { channel.localAddress }

    /// Binds and listens; all connections live on the broker loop's event loop, where this is called.
    package static func bind(
        _ loop: BrokerLoop,
        to address: SocketAddress,
        options: StompSessionOptions,
        budget: SocketBudget,
        setup: ListenerSetup = ListenerSetup()
    ) -> EventLoopFuture<StompListener> {
        loop.eventLoop.preconditionInEventLoop()
        setup.take(options)
        let begin = NIOLoopBound(ConnectionStart(loop, setup), eventLoop: loop.eventLoop)
        let budget = NIOLoopBound(budget, eventLoop: loop.eventLoop)
        let setup = NIOLoopBound(setup, eventLoop: loop.eventLoop)
        return ServerBootstrap(group: loop.eventLoop)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGate(budget.value))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // A peer that vanished, without heart-beats and with nothing to be sent, is found by it.
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(
                ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_KEEPIDLE)),
                value: keepAliveIdleSeconds
            )
            // What a client does not read waits here, where it is counted, and not in up to 4 MB of the
            // kernel's memory for each connection (tcp_wmem). Only bytes that the network could not take
            // yet count for it, so that a reader far away loses nothing.
            .childChannelOption(
                ChannelOptions.Types.SocketOption(
                    level: .tcp,
                    name: .init(rawValue: TCP_NOTSENT_LOWAT)
                ),
                value: unsentBytesMax
            )
            // A client may end its output and then read its last receipts.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 256, maximum: 65536)
            )
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: options.outboundBytesMax / 4, high: options.outboundBytesMax)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try begin.value.addHandlers(to: channel) }
            }
            .bind(to: address)
            .map { StompListener(channel: $0, setup: setup) }
    }

    /// Has new connections take changed settings; call on the event loop.
    func take(_ live: ListenerSetup.Live, _ options: StompSessionOptions) {
        setup.value.take(live)
        setup.value.take(options)
    }

    /// Stops accepting; connections stay.
    package func close() -> EventLoopFuture<Void> {
        channel.close(mode: .all)
    }

    /// Puts the handlers of each new connection together.
    ///
    /// Confinement: broker loop.
    final class ConnectionStart {
        private let loop: BrokerLoop
        private let setup: ListenerSetup

        init(_ loop: BrokerLoop, _ setup: ListenerSetup) {
            self.loop = loop
            self.setup = setup
        }

        func addHandlers(to channel: any Channel) throws {
            let handlers = channel.pipeline.syncOperations
            let request: StompSession.Handshake? =
                setup.protocol == .websocket ? .webSocket : nil
            let session = StompSession(
                loop: loop,
                options: setup.options,
                handshake: setup.tls == nil ? request : .tls
            )
            if let tls = setup.tls {
                try handlers.addHandler(FittingHandler())
                try handlers.addHandler(NIOSSLServerHandler(context: tls))
                try handlers.addHandler(TLSWatcher(session, next: request))
            }
            if setup.protocol == .websocket {
                let stream = WebSocketStream(session, frameBytesMax: frameBytesMax)
                try WebSocketUpgrade.add(
                    WebSocketUpgrade(session, stream, setup),
                    to: channel
                )
                try handlers.addHandler(stream)
            }
            try handlers.addHandler(session)
        }

        private var frameBytesMax: Int {
            setup.options.limits.bodyBytesMax + setup.options.limits.headerBytesMax
                + StompListener.webSocketBytesExtra
        }
    }
}

extension SocketAddress {
    /// `127.0.0.1:61613`, `[::1]:61613`: as log lines have it.
    var shown: String {
        ListenAddress(host: ipAddress ?? "?", port: port ?? 0).description
    }
}
