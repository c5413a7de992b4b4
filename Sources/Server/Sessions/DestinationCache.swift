import Broker
import ByteSpans
import NIOCore
import StompCodec

/// The destinations that a connection sent to last, by the bytes of their names.
///
/// A hit costs a comparison of bytes: no String, no hash. A sender with more destinations than fit
/// pays for a look-up by name.
struct DestinationCache {
    /// Of each name the number that its end makes, so that most that differ need not be compared.
    private var tags: [UInt64] = []
    private var names: [ByteBuffer] = []
    private var ids: [DestinationID] = []
    private var last = 0
    private var nextReplaced = 0
    private var noted: DestinationID?

    private static let capacity = 8

    /// The destination of this name, if it was used before.
    @inline(__always)
    mutating func find(_ name: RawSpan) -> DestinationID? {
        let tag = Self.tag(of: name)
        if last < tags.count, tags[last] == tag, isSame(last, name) { return ids[last] }
        for index in tags.indices where tags[index] == tag && isSame(index, name) {
            last = index
            return ids[index]
        }
        return nil
    }

    @inline(__always)
    private func isSame(_ index: Int, _ name: RawSpan) -> Bool {
        let own = names[index]
        return name.hasSameBytes(as: own.byteSpan)
    }

    mutating func removeAll() { self = DestinationCache() }

    /// Remembers a destination that was looked up, if it was the last time, too: a sender that goes
    /// through many of them would only push one out with the other.
    mutating func note(_ name: RawSpan, _ id: DestinationID) {
        if noted == id { add(name, id) } else { noted = id }
    }

    /// Remembers a destination; the name is copied.
    mutating func add(_ name: RawSpan, _ id: DestinationID) {
        var copy = ByteBuffer()
        copy.writeBytes(name)
        if names.count < Self.capacity {
            last = names.count
            tags.append(Self.tag(of: name))
            names.append(copy)
            ids.append(id)
        } else {
            last = nextReplaced
            nextReplaced = (nextReplaced + 1) % Self.capacity
            tags[last] = Self.tag(of: name)
            names[last] = copy
            ids[last] = id
        }
    }

    @inline(__always)
    private static func tag(of name: RawSpan) -> UInt64 {
        guard name.byteCount >= 8 else { return 0 }
        return name.unsafeLoadUnaligned(fromByteOffset: name.byteCount - 8, as: UInt64.self)
    }
}
