import NIOCore

/// Stands between TLS and the socket, and sees that what may have to wait there takes little more memory than it
/// has bytes.
///
/// The TLS library hands on what it encrypted in the buffer that it keeps for all of it, 16 KiB or as large as the
/// largest write was, and makes another one if that waits: a client that does not read would keep as much for a
/// few bytes each time. The channel counts bytes, not memory.
final class FittingHandler: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        let isCopied = bytes.wastesMemory(factor: 2, beyond: 64)
        context.write(isCopied ? wrapOutboundOut(bytes.compacted()) : data, promise: promise)
    }
}

extension ByteBuffer {
    /// True if its memory is larger than so many times its bytes and a fixed amount.
    func wastesMemory(factor: Int, beyond bytes: Int) -> Bool {
        storageCapacity > factor * readableBytes + bytes
    }

    /// The same bytes in memory of their own, as large as they need.
    func compacted() -> ByteBuffer {
        var copy = ByteBufferAllocator().buffer(capacity: readableBytes)
        copy.writeImmutableBuffer(self)
        return copy
    }
}
