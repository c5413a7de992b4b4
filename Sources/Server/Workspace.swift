import ByteSpans
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
    /// False if somebody else still refers to it, because it waits for its socket: then new memory takes its
    /// place.
    @discardableResult
    func giveBack(_ output: inout ByteBuffer) -> Bool {
        let memory = output.memoryAddress
        output.clear(minimumCapacity: Self.outputBytesInitial)
        let isAlone = output.memoryAddress == memory
        if outputs.count < Self.outputsMax, output.storageCapacity <= Self.outputBytesKept {
            outputs.append(output)
        }
        return isAlone
    }
}
