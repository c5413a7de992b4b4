import Broker
import ByteSpans
import DequeModule
import NIOCore
import StompCodec

/// Receipts of one connection that wait, in the order of its frames.
///
/// A receipt is given when its append is durable and all receipts before it were given.
struct ReceiptQueue {
    /// Receipts one behind the other that wait for the same append, or for earlier ones as well: mostly those of
    /// a turn.
    private struct Run {
        let append: AppendID
        var count: Int
        var idByteCount: Int
        var frameByteCount: Int
    }

    private var runs = Deque<Run>()
    /// The RECEIPT frames of `runs`, one behind the other, so that those of a run go out in one piece.
    private var frames = ByteBuffer()
    private(set) var count = 0
    /// Bytes of the ids that wait.
    private(set) var idByteCount = 0

    /// Consumed bytes of `frames` that are worth a copy of the rest.
    private static let bytesDiscarded = 32 << 10
    /// What a connection that waits for nothing keeps at most.
    private static let bytesKept = 8 << 10

    var isEmpty: Bool { count == 0 }

    /// Adds the receipt of the frame that was handled last.
    mutating func append(_ id: RawSpan, when append: AppendID, by serializer: StompSerializer) {
        let before = frames.readableBytes
        serializer.writeReceipt(id, into: &frames)
        let bytes = frames.readableBytes - before
        count += 1
        idByteCount += id.byteCount
        let last = runs.count - 1
        // One that could be given sooner waits for those before it all the same.
        if last >= 0, append.value <= runs[last].append.value {
            runs[last].count += 1
            runs[last].idByteCount += id.byteCount
            runs[last].frameByteCount += bytes
        } else {
            runs.append(
                Run(append: append, count: 1, idByteCount: id.byteCount, frameByteCount: bytes)
            )
        }
    }

    /// Writes every receipt that need not wait any more.
    mutating func release(through durable: AppendID, into out: inout ByteBuffer) {
        var bytes = 0
        while let first = runs.first, first.append <= durable {
            runs.removeFirst()
            count -= first.count
            idByteCount -= first.idByteCount
            bytes += first.frameByteCount
        }
        out.writeBytes(frames.byteSpan.extracting(0..<bytes))
        frames.moveReaderIndex(forwardBy: bytes)
        if isEmpty {
            if frames.storageCapacity > Self.bytesKept {
                frames = ByteBuffer()
            } else {
                frames.clear()
            }
        } else if frames.readerIndex > Self.bytesDiscarded {
            frames.discardReadBytes()
        }
    }

    /// True if the first receipt need not wait any more.
    func isReady(_ durable: AppendID) -> Bool {
        guard let first = runs.first else { return false }
        return first.append <= durable
    }
}
