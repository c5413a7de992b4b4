import Broker
import ByteSpans

/// The destinations that a connection sent to last, by the bytes of their names.
///
/// A hit costs a comparison of words: no String, no hash, and for short names nothing to count references of. A
/// sender with more destinations than fit pays for a look-up by name.
struct DestinationCache {
    private struct Row {
        let id: DestinationID
        let byteCount: Int
        /// The name's last eight bytes, by which most that differ are told apart.
        let end: UInt64
        /// Those before them, eight to a word, and what is left of a long name.
        var begin = InlineArray<5, UInt64>(repeating: 0)
        var rest: [UInt64] = []

        init(_ name: RawSpan, _ id: DestinationID) {
            self.id = id
            byteCount = name.byteCount
            end = Self.end(of: name)
            for offset in stride(from: 0, to: byteCount - 8, by: 8) {
                let word = name.word(at: offset)
                if offset >> 3 < begin.count {
                    begin[offset >> 3] = word
                } else {
                    rest.append(word)
                }
            }
        }

        @inline(__always)
        static func end(of name: RawSpan) -> UInt64 { name.word(at: max(0, name.byteCount - 8)) }

        @inline(__always)
        func isNamed(_ name: RawSpan, _ end: UInt64) -> Bool {
            guard self.end == end, byteCount == name.byteCount else { return false }
            var offset = 0
            while offset < byteCount - 8 {
                let index = offset >> 3
                let own = index < begin.count ? begin[index] : rest[index - begin.count]
                guard own == name.word(at: offset) else { return false }
                offset += 8
            }
            return true
        }
    }
    private var rows: [Row] = []
    private var last = 0
    private var nextReplaced = 0
    private var noted: DestinationID?

    private static let capacity = 8

    /// The destination of this name, if it was used before.
    @inline(__always)
    mutating func find(_ name: RawSpan) -> DestinationID? {
        let end = Row.end(of: name)
        if last < rows.count, rows[last].isNamed(name, end) { return rows[last].id }
        for index in rows.indices where rows[index].isNamed(name, end) {
            last = index
            return rows[index].id
        }
        return nil
    }

    mutating func removeAll() { self = DestinationCache() }

    /// Remembers a destination that was looked up, if it was the last time, too: a sender that goes
    /// through many of them would only push one out with the other.
    mutating func note(_ name: RawSpan, _ id: DestinationID) {
        if noted?.value == id.value { add(name, id) } else { noted = id }
    }

    /// Remembers a destination.
    mutating func add(_ name: RawSpan, _ id: DestinationID) {
        let row = Row(name, id)
        if rows.count < Self.capacity {
            last = rows.count
            rows.append(row)
        } else {
            last = nextReplaced
            nextReplaced = (nextReplaced + 1) % Self.capacity
            rows[last] = row
        }
    }
}
