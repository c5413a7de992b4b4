import NIOCore

extension ChannelHandlerContext {
    /// Bytes that wait for the socket.
    ///
    /// Not for every flush of every client: the channel compares the option's type with each that it knows, some 2,000 instructions.
    var bufferedByteCount: Int {
        // A channel that is closed has nothing buffered, and says so by throwing.
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }
}
