import Broker
import ByteSpans
import DequeModule
import NIOCore
import StompCodec

/// Receipts of one connection that wait, in the order of its frames.
///
/// A receipt is given when its append is durable and all receipts before it were given.
struct ReceiptQueue {
    private struct Waiting {
        let append: AppendID
        let idByteCount: Int
    }

    private var waiting = Deque<Waiting>()
    /// The ids of `waiting`, one after another.
    private var ids = ByteBuffer()

    /// Consumed bytes of `ids` that are worth a copy of the rest.
    private static let idBytesDiscarded = 16 << 10

    var isEmpty: Bool { waiting.isEmpty }
    var count: Int { waiting.count }
    /// Bytes of the ids that wait.
    var idByteCount: Int { ids.readableBytes }

    /// Adds the receipt of the frame that was handled last.
    mutating func append(_ id: RawSpan, when append: AppendID) {
        waiting.append(Waiting(append: append, idByteCount: id.byteCount))
        ids.writeBytes(id)
    }

    /// Writes every receipt that need not wait any more.
    mutating func release(
        through durable: AppendID,
        by serializer: StompSerializer,
        into out: inout ByteBuffer
    ) {
        while let first = waiting.first, first.append <= durable {
            waiting.removeFirst()
            serializer.writeReceipt(
                ids.byteSpan.extracting(0..<first.idByteCount),
                into: &out
            )
            ids.moveReaderIndex(forwardBy: first.idByteCount)
        }
        if waiting.isEmpty {
            ids.clear()
        } else if ids.readerIndex > Self.idBytesDiscarded {
            ids.discardReadBytes()
        }
    }

    /// True if the first receipt need not wait any more.
    func isReady(_ durable: AppendID) -> Bool {
        guard let first = waiting.first else { return false }
        return first.append <= durable
    }
}
