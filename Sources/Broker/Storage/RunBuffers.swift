import NIOCore

/// Buffers for the messages of runs, of which small ones serve again.
///
/// Where many queues have a message each, a run is one message, and making a buffer for it would cost as
/// much as the rest of reading it. A small buffer is given out again once the messages in it are let go
/// of, which is when they are written to their sockets: with more than 256 runs in a turn, the rest gets new
/// ones. Half a megabyte at most.
struct RunBuffers {
    private var small: [ByteBuffer] = []
    private var next = 0

    private static let smallMax = 256
    private static let smallBytesMax = 2048

    /// Lends an empty buffer with room for so many bytes, which messages may share afterwards.
    @inline(__always)
    mutating func fill<Outcome>(_ bytes: Int, _ body: (inout ByteBuffer) -> Outcome) -> Outcome {
        guard bytes <= Self.smallBytesMax else {
            var large = ByteBufferAllocator().buffer(capacity: bytes)
            return body(&large)
        }
        if next == small.count { small.append(ByteBuffer()) }
        // Another one is made if messages still share this one.
        small[next].clear(minimumCapacity: bytes)
        defer {
            // It may have grown.
            if small[next].capacity > Self.smallBytesMax { small[next] = ByteBuffer() }
            next = next + 1 == Self.smallMax ? 0 : next + 1
        }
        return body(&small[next])
    }
}
