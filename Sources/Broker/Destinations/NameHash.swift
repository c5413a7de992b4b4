import ByteSpans

/// A hash of names that is keyed by random numbers: of any two names, whoever chose them, the chance that
/// chosen bits of their hashes agree is what it is for random ones.
///
/// Multilinear hashing of 32-bit characters, the upper half of a sum modulo 2^64; the first character is the
/// length (Lemire and Kaser, "Strongly universal string hashing is fast"). A name of 27 bytes takes
/// nine multiplications that do not wait for each other, which is why it is here and not `Hasher`.
struct NameHash {
    /// The addend, the factor of the length, then two factors for each eight bytes.
    private var keys: [UInt64]

    /// Draws keys for short names.
    init() {
        keys = []
        cover(byteCount: 64)
    }

    /// Draws the keys that are missing for names of a length.
    ///
    /// Hashes that were made stay what they are. O(length).
    mutating func cover(byteCount: Int) {
        while coveredBytes < byteCount { keys.append(UInt64.random(in: 0...UInt64.max)) }
    }

    /// The longest name that can be hashed.
    var coveredBytes: Int { 8 * ((keys.count - 2) >> 1) }

    /// The hash of a name, which must be covered.
    @inline(__always)
    func hash(_ name: RawSpan) -> UInt32 {
        var sum = keys[0] &+ keys[1] &* UInt64(name.byteCount)
        var offset = 0
        while offset < name.byteCount {
            let word = name.word(at: offset)
            let key = 2 + offset >> 2
            sum &+= keys[key] &* (word & 0xffff_ffff) &+ keys[key + 1] &* (word >> 32)
            offset += 8
        }
        return UInt32(truncatingIfNeeded: sum >> 32)
    }
}
