import Base
import Logging
package import NIOCore
import NIOPosix

/// Accepts STOMP connections on one address.
package final class StompListener: Sendable {
    private let channel: any Channel

    /// What the kernel may hold for us between two turns.
    private static let backlog: Int32 = 4096

    private init(channel: any Channel) {
        self.channel = channel
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    package var address: SocketAddress? { channel.localAddress }

    /// Binds and listens; all connections live on the broker loop's event loop, where this is called.
    package static func bind(
        _ loop: BrokerLoop,
        to address: SocketAddress,
        options: StompSessionOptions,
        budget: SocketBudget
    ) -> EventLoopFuture<StompListener> {
        loop.eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(loop, eventLoop: loop.eventLoop)
        let budget = NIOLoopBound(budget, eventLoop: loop.eventLoop)
        return ServerBootstrap(group: loop.eventLoop)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGate(budget.value))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
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
                channel.eventLoop.makeCompletedFuture {
                    let session = StompSession(loop: bound.value, options: options)
                    try channel.pipeline.syncOperations.addHandler(session)
                }
            }
            .bind(to: address)
            .map { StompListener(channel: $0) }
    }

    /// Stops accepting; connections stay.
    package func close() -> EventLoopFuture<Void> {
        channel.close(mode: .all)
    }
}
