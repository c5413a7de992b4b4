import Glibc
import LogStore
import NIOCore
import NIOPosix

/// Calls back on the event loop when the ring has ended a write.
///
/// Confinement: its event loop.
final class RingWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let onReady: () -> Void

    private init(_ onReady: @escaping () -> Void) {
        self.onReady = onReady
    }

    /// Begins to watch; fails where the event loop cannot, or no file descriptor is left.
    static func start(
        _ ring: WriteRing,
        on eventLoop: any EventLoop,
        _ onReady: @escaping () -> Void
    ) -> EventLoopFuture<any Channel> {
        // Of its own, for the channel closes it.
        let descriptor = fcntl(ring.descriptor, F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else {
            return eventLoop.makeFailedFuture(IOError(errnoCode: errno, reason: "fcntl"))
        }
        let watch = NIOLoopBound(RingWatch(onReady), eventLoop: eventLoop)
        return NIOPipeBootstrap(group: eventLoop)
            // The counter of an eventfd is read at once, and takes eight bytes.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(watch.value)
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
    }

    func channelReadComplete(context: ChannelHandlerContext) { onReady() }
}
