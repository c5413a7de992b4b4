/// The places of names, found by a name's bytes: no String is made to look one up.
///
/// A hash table with linear probing, at most half full. Hashed with a key that the process drew, so that
/// nobody can choose names that collide. An entry, 64 bytes, holds the name's begin: to look one up touches
/// one or two lines of the cache, which matters where there are many destinations and few are in it.
///
/// O(length of the name) expected for all calls. Confinement: its owner's.
struct NameIndex {
    private struct Entry {
        var hash: UInt64 = 0
        /// The name's first bytes, zeros behind a shorter one.
        var begin = InlineArray<5, UInt64>(repeating: 0)
        /// Those behind them.
        var rest: [UInt8] = []
        var byteCount: Int32 = 0
        /// Negative = free.
        var place: Int32 = -1
    }

    private static let beginBytes = 40

    private var entries = [Entry](repeating: Entry(), count: 16)
    private var count = 0
    private let hashMask: UInt64

    /// Makes an empty index; `hashMask`: the bits of a hash that count, fewer only for names that are to
    /// collide in tests.
    init(hashMask: UInt64 = .max) {
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
        var entry = Entry(hash: hash(bytes))
        for index in entry.begin.indices {
            entry.begin[index] = Self.word(bytes, at: 8 * index)
        }
        entry.rest = Array(name.utf8.dropFirst(Self.beginBytes))
        entry.byteCount = Int32(bytes.byteCount)
        entry.place = Int32(place)
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
        let hash = self.hash(name)
        var index = Int(truncatingIfNeeded: hash) & mask
        while entries[index].place >= 0 {
            if entries[index].hash == hash, isSame(index, name) { return index }
            index = (index + 1) & mask
        }
        return nil
    }

    private func isSame(_ index: Int, _ name: RawSpan) -> Bool {
        guard entries[index].byteCount == name.byteCount else { return false }
        var offset = 0
        while offset < min(name.byteCount, Self.beginBytes) {
            if entries[index].begin[offset / 8] != Self.word(name, at: offset) { return false }
            offset += 8
        }
        while offset < name.byteCount {
            let own = entries[index].rest[offset - Self.beginBytes]
            if own != Self.byte(name, at: offset) { return false }
            offset += 1
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

    // MARK: Bytes

    private func hash(_ bytes: RawSpan) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(bytes.byteCount)
        var offset = 0
        while offset < bytes.byteCount {
            hasher.combine(Self.word(bytes, at: offset))
            offset += 8
        }
        return UInt64(bitPattern: Int64(hasher.finalize())) & hashMask
    }

    /// Eight bytes, zeros behind the end.
    @inline(__always)
    private static func word(_ bytes: RawSpan, at offset: Int) -> UInt64 {
        let left = bytes.byteCount - offset
        if left >= 8 { return bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        var word: UInt64 = 0
        var index = bytes.byteCount - 1
        while index >= offset {
            word = word << 8 | UInt64(byte(bytes, at: index))
            index -= 1
        }
        return word
    }
    @inline(__always)
    private static func byte(_ bytes: RawSpan, at offset: Int) -> UInt8 {
        bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }
}
