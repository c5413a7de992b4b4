import Base
import ByteSpans
import DequeModule
import NIOCore

/// Messages that were sent while somebody waited for them, until they are durable.
///
/// Each of them would have to be looked for in the log otherwise. They share the memory in which they were
/// received: how much of it they keep from being used again is counted, and bounded. A piece of memory counts
/// until the first message in it is taken; those behind it mostly follow at once.
///
/// Confinement: broker loop.
struct MessagesAtHand: ~Copyable {
    /// Not private: Swift 6.3.1 fails on that in debug builds, where a class holds such a deque.
    struct Item {
        /// What it takes itself, and memory that no message before it holds.
        let memoryBytes: Int
        let message: FetchedMessage
    }

    private var items = UniqueDeque<Item>()
    private(set) var memoryBytes = 0
    /// Where the body of the first one stands that shares memory with the last one, and how much that is.
    private var sharedFrom: UInt = 0
    private var sharedBytes = 0

    /// Memory that all of them hold at most.
    static let memoryBytesMax = 4 << 20
    /// A larger message is not kept.
    ///
    /// Its body may be handed to a socket as it is, and a client that does not read would keep all the memory
    /// around it, which is bounded here only until delivery. Small ones are copied into what a client is sent.
    static let messageBytesMax = 2048

    /// Keeps a message; false if it is large, or would take too much.
    @inline(__always)
    mutating func keep(_ message: Message, _ sequence: EntrySequence, at time: UInt64) -> Bool {
        guard message.byteCount <= Self.messageBytesMax else { return false }
        let bytes = message.body.storageCapacity
        let place = message.body.memoryAddress
        // Headers that were written anew stand in memory that the next message wants.
        guard message.headers.readableBytes == 0 || place &- message.headers.memoryAddress < bytes
        else { return false }
        // Frames come one behind the other, the first near the beginning: another one farther on, by less than
        // the size of that memory, is in the same. To be wrong in that makes the bound a little less exact.
        let isShared = !items.isEmpty && bytes == sharedBytes && place &- sharedFrom < bytes
        let added = MemoryLayout<Item>.stride + (isShared ? 0 : bytes)
        guard memoryBytes + added <= Self.memoryBytesMax else { return false }
        memoryBytes += added
        if !isShared {
            sharedFrom = place
            sharedBytes = bytes
        }
        items.append(
            Item(
                memoryBytes: added,
                message: FetchedMessage(
                    sequence: sequence,
                    deliveryCount: 0,
                    time: time,
                    message: message
                )
            )
        )
        return true
    }

    /// Takes the one that was kept first.
    @inline(__always)
    mutating func next() -> FetchedMessage {
        let item = items.removeFirst()
        memoryBytes -= item.memoryBytes
        return item.message
    }

    mutating func removeAll() {
        items = UniqueDeque()
        memoryBytes = 0
    }
}
