/// Says whether bytes are UTF-8, however they are cut into parts.
///
/// Unicode 15, table 3-7: no overlong forms, no surrogates, nothing past U+10FFFF.
struct UTF8Check {
    private(set) var isBroken = false
    /// Bytes that must still follow, and what the next of them may be.
    private var followingCount = 0
    private var low: UInt8 = 0x80
    private var high: UInt8 = 0xBF

    /// True if all that was taken is whole characters.
    var isWhole: Bool { !isBroken && followingCount == 0 }

    /// Takes the bytes behind an offset.
    mutating func take(_ bytes: RawSpan, from start: Int) {
        var index = start
        while index < bytes.byteCount, !isBroken {
            if followingCount == 0, index + 8 <= bytes.byteCount {
                // Eight at a time, while they are ASCII.
                let word = bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 == 0 {
                    index += 8
                    continue
                }
            }
            take(bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt8.self))
            index += 1
        }
    }

    /// Notes that nothing more comes: a character that is not whole is broken then.
    mutating func end() {
        if followingCount > 0 { isBroken = true }
    }

    private mutating func take(_ byte: UInt8) {
        if followingCount > 0 {
            guard (low...high).contains(byte) else {
                isBroken = true
                return
            }
            followingCount -= 1
            (low, high) = (0x80, 0xBF)
            return
        }
        switch byte {
        case 0...0x7F: return
        case 0xC2...0xDF: followingCount = 1
        case 0xE0...0xEF: followingCount = 2
        case 0xF0...0xF4: followingCount = 3
        default: isBroken = true
        }
        switch byte {
        case 0xE0: low = 0xA0
        case 0xED: high = 0x9F
        case 0xF0: low = 0x90
        case 0xF4: high = 0x8F
        default: break
        }
    }
}
