import ByteSpans

/// The places of names, found by a name's bytes: no String is made to look one up.
///
/// A hash table with linear probing, at most half full. Hashed with keys that the process drew, so that
/// nobody can choose names that collide. An entry, 64 bytes, holds the name's begin: to look one up touches
/// one or two lines of the cache, which matters where there are many destinations and few are in it.
///
/// O(length of the name) for all calls, and a few entries that are in the way, expected. Confinement: its owner's.
struct NameIndex {
    private struct Entry {
        var hash: UInt32 = 0
        var byteCount: Int32 = 0
        /// The name's first bytes, eight to a word, zeros behind a shorter one.
        var begin = InlineArray<5, UInt64>(repeating: 0)
        /// Those behind them.
        var rest: [UInt64] = []
        /// Negative = free.
        var place: Int32 = -1
    }

    private static let beginBytes = 40

    private var entries = [Entry](repeating: Entry(), count: 16)
    private var count = 0
    private var keyed = NameHash()
    private let hashMask: UInt32

    /// Makes an empty index; `hashMask`: the bits of a hash that count, fewer only for names that are to
    /// collide in tests.
    init(hashMask: UInt32 = .max) {
        self.hashMask = hashMask
    }

    private var mask: Int { entries.count - 1 }

    /// The place of the name that has these bytes.
    func find(_ name: RawSpan) -> Int? { index(of: name).map { Int(entries[$0].place) } }

    /// Adds a name that is not there yet.
    mutating func insert(_ name: String, at place: Int) {
        if 2 * (count + 1) > entries.count { grow() }
        count += 1
        let bytes = name.utf8.span.bytes
        keyed.cover(byteCount: bytes.byteCount)
        var entry = Entry(hash: hash(bytes), byteCount: Int32(bytes.byteCount), place: Int32(place))
        for index in entry.begin.indices where 8 * index < bytes.byteCount {
            entry.begin[index] = bytes.word(at: 8 * index)
        }
        for offset in stride(from: Self.beginBytes, to: bytes.byteCount, by: 8) {
            entry.rest.append(bytes.word(at: offset))
        }
        put(entry)
    }

    /// Forgets a name; nothing if it is not there.
    mutating func remove(_ name: String) {
        guard var gap = index(of: name.utf8.span.bytes) else { return }
        count -= 1
        // Those behind it that began their search before the gap move into it.
        var index = (gap + 1) & mask
        while entries[index].place >= 0 {
            let home = Int(truncatingIfNeeded: entries[index].hash) & mask
            if (index - home) & mask >= (index - gap) & mask {
                entries[gap] = entries[index]
                gap = index
            }
            index = (index + 1) & mask
        }
        entries[gap] = Entry()
    }

    private func index(of name: RawSpan) -> Int? {
        guard name.byteCount <= keyed.coveredBytes else { return nil }
        let hash = self.hash(name)
        var index = Int(truncatingIfNeeded: hash) & mask
        while entries[index].place >= 0 {
            if entries[index].hash == hash, isSame(index, name) { return index }
            index = (index + 1) & mask
        }
        return nil
    }

    @inline(__always)
    private func hash(_ name: RawSpan) -> UInt32 { keyed.hash(name) & hashMask }

    private func isSame(_ index: Int, _ name: RawSpan) -> Bool {
        guard entries[index].byteCount == name.byteCount else { return false }
        for word in entries[index].begin.indices where 8 * word < name.byteCount {
            if entries[index].begin[word] != name.word(at: 8 * word) { return false }
        }
        guard name.byteCount > Self.beginBytes else { return true }
        for (word, own) in entries[index].rest.enumerated()
        where own != name.word(at: Self.beginBytes + 8 * word) {
            return false
        }
        return true
    }

    private mutating func put(_ entry: Entry) {
        var index = Int(truncatingIfNeeded: entry.hash) & mask
        while entries[index].place >= 0 { index = (index + 1) & mask }
        entries[index] = entry
    }

    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(), count: 2 * old.count)
        for entry in old where entry.place >= 0 { put(entry) }
    }
}
