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

    /// An empty buffer with that much room.
    mutating func take(_ bytes: Int) -> ByteBuffer {
        guard bytes <= Self.smallBytesMax else {
            return ByteBufferAllocator().buffer(capacity: bytes)
        }
        var buffer = ByteBuffer()
        if next < small.count { swap(&buffer, &small[next]) }
        // Another one is made if messages still share this one.
        buffer.clear(minimumCapacity: bytes)
        return buffer
    }

    /// Takes back the buffer that `take` gave last; messages may share it.
    @inline(__always)
    mutating func put(_ buffer: consuming ByteBuffer) {
        guard buffer.capacity <= Self.smallBytesMax else { return }
        if next < small.count { small[next] = buffer } else { small.append(buffer) }
        next = next + 1 == Self.smallMax ? 0 : next + 1
    }
}
