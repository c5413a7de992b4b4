import Broker
import NIOCore
import StompCodec

/// The destinations that a connection sent to last, by the bytes of their names.
///
/// A hit costs a comparison of bytes: no String, no hash. A sender with more destinations than fit
/// pays for a look-up by name.
struct DestinationCache {
    private var names: [ByteBuffer] = []
    private var ids: [DestinationID] = []
    private var last = 0
    private var nextReplaced = 0

    private static let capacity = 8

    /// The destination that this frame names, if it was used before.
    @inline(__always)
    mutating func find(_ frame: borrowing StompFrame) -> DestinationID? {
        if last < names.count, frame.value(.destination, hasBytesOf: names[last]) {
            return ids[last]
        }
        for index in names.indices where frame.value(.destination, hasBytesOf: names[index]) {
            last = index
            return ids[index]
        }
        return nil
    }

    mutating func removeAll() { self = DestinationCache() }

    /// Remembers a destination; the name is copied.
    mutating func add(_ name: ByteBuffer, _ id: DestinationID) {
        let copy = ByteBuffer(bytes: name.readableBytesView)
        if names.count < Self.capacity {
            last = names.count
            names.append(copy)
            ids.append(id)
        } else {
            last = nextReplaced
            nextReplaced = (nextReplaced + 1) % Self.capacity
            names[last] = copy
            ids[last] = id
        }
    }
}
