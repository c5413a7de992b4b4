import NIOCore
import StompCodec

/// Memory that is used again and again within a turn, so that idle connections own none.
///
/// Confinement: broker loop.
final class Workspace {
    /// The frame in hand.
    var frame = StompFrame()
    /// Header blocks that could not be taken as they were received.
    var headerScratch = ByteBuffer()
    private var outputs: [ByteBuffer] = []

    private static let outputsMax = 64
    private static let outputBytesKept = 256 << 10
    private static let outputBytesInitial = 1 << 10

    /// An empty buffer for one connection's output.
    func takeOutput() -> ByteBuffer {
        outputs.popLast() ?? ByteBufferAllocator().buffer(capacity: Self.outputBytesInitial)
    }

    /// Takes a buffer back.
    ///
    /// If somebody else still refers to it, because it waits for its socket, memory of its own takes its place.
    func giveBack(_ output: inout ByteBuffer) {
        guard outputs.count < Self.outputsMax, output.storageCapacity <= Self.outputBytesKept else {
            return
        }
        output.clear(minimumCapacity: Self.outputBytesInitial)
        outputs.append(output)
    }
}
