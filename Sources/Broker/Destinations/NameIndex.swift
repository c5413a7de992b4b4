/// The places of names, found by a name's bytes: no String is made to look one up.
///
/// A hash table with linear probing, at most half full. Hashed with a key that the process drew, so that
/// nobody can choose names that collide. It holds places only; the names stay where they are, and the
/// caller lends them: `name` gives the name at a place that was inserted.
///
/// O(1) expected for all calls. Confinement: its owner's.
struct NameIndex {
    private struct Entry {
        var hash: UInt64 = 0
        /// Negative = free.
        var place: Int32 = -1
    }

    private var entries = [Entry](repeating: Entry(), count: 16)
    private var count = 0

    private var mask: Int { entries.count - 1 }

    /// The place of the name that has these bytes.
    @inline(__always)
    func find(_ bytes: RawSpan, name: (Int) -> String) -> Int? {
        let hash = Self.hash(bytes)
        var index = Int(truncatingIfNeeded: hash) & mask
        while entries[index].place >= 0 {
            let place = Int(entries[index].place)
            if entries[index].hash == hash, Self.isSame(name(place), bytes) { return place }
            index = (index + 1) & mask
        }
        return nil
    }

    /// Adds a name that is not there yet.
    mutating func insert(_ name: String, at place: Int) {
        if 2 * (count + 1) > entries.count { grow() }
        count += 1
        put(Entry(hash: Self.hash(name.utf8.span.bytes), place: Int32(place)))
    }

    /// Forgets the name at a place.
    mutating func remove(_ name: String, at place: Int) {
        var index = Int(truncatingIfNeeded: Self.hash(name.utf8.span.bytes)) & mask
        while entries[index].place != Int32(place) {
            if entries[index].place < 0 { return }
            index = (index + 1) & mask
        }
        count -= 1
        // Those behind it that began their search before the gap move into it.
        var gap = index
        index = (index + 1) & mask
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

    private static func hash(_ bytes: RawSpan) -> UInt64 {
        var hasher = Hasher()
        var offset = 0
        while offset + 8 <= bytes.byteCount {
            hasher.combine(word(bytes, offset))
            offset += 8
        }
        while offset < bytes.byteCount {
            hasher.combine(byte(bytes, offset))
            offset += 1
        }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    private static func isSame(_ name: String, _ bytes: RawSpan) -> Bool {
        let own = name.utf8.span.bytes
        guard own.byteCount == bytes.byteCount else { return false }
        var offset = 0
        while offset + 8 <= bytes.byteCount {
            if word(own, offset) != word(bytes, offset) { return false }
            offset += 8
        }
        while offset < bytes.byteCount {
            if byte(own, offset) != byte(bytes, offset) { return false }
            offset += 1
        }
        return true
    }

    @inline(__always)
    private static func word(_ bytes: RawSpan, _ offset: Int) -> UInt64 {
        bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    @inline(__always)
    private static func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
        bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }
}
