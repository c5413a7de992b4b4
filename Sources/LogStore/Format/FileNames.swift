/// The names in a store's directory (`docs/format.md`, "Directory").
package enum FileNames {
    package static let lock = "lock"

    /// Holds disk space (see `SpaceReserve`); what is in it means nothing.
    package static let reserve = "reserve"

    package static func segment(_ number: UInt32) -> String { "segment-\(padded(number)).log" }

    /// A packed form of a segment; see `SegmentFile`.
    package static func packed(_ segment: UInt32, _ generation: UInt32) -> String {
        "packed-\(padded(segment))-\(generation).pak"
    }

    package static func checkpoint(_ number: UInt64) -> String {
        "checkpoint-\(padded(number)).chk"
    }

    /// A prepared file that is to become a segment; what is in it means nothing.
    package static func spare(_ number: UInt64) -> String { "spare-\(padded(number)).tmp" }

    /// A copy of damaged bytes (see `Quarantine`): of which file, from where, how many.
    package static func quarantine(_ file: String, _ offset: Int, _ length: Int) -> String {
        "quarantine-\(file)-\(offset)-\(length).bin"
    }

    /// A file that could not be read, kept out of the way; a name that means nothing to the store.
    package static func aside(_ name: String) -> String { "damaged-" + name }

    /// A file being written that gets its real name when it is complete.
    package static func temporary(_ name: String) -> String { name + ".tmp" }

    /// What a name in the directory stands for.
    package enum Kind: Equatable, Sendable {
        case segment(UInt32)
        case packed(SegmentFile)
        case checkpoint(UInt64)
        /// Left over from an interrupted run, or a prepared spare; holds nothing.
        case temporary
        case quarantine
        case lock
        case reserve
        case unknown
    }

    /// Reads a name back; only names in exactly the written form count.
    package static func kind(of name: String) -> Kind {
        if name == lock { return .lock }
        if name == reserve { return .reserve }
        if isTemporary(name) { return .temporary }
        if let number = number(in: name, "segment-", ".log"), number <= UInt64(UInt32.max),
            segment(UInt32(number)) == name
        {
            return .segment(UInt32(number))
        }
        if let number = number(in: name, "checkpoint-", ".chk"), checkpoint(number) == name {
            return .checkpoint(number)
        }
        if let file = packedFile(of: name) { return .packed(file) }
        if isQuarantine(name) { return .quarantine }
        return .unknown
    }

    /// True for the temporary names that radiator itself gives: these files are removed at the next
    /// start, so a stranger's file must never count as one.
    private static func isTemporary(_ name: String) -> Bool {
        if let number = number(in: name, "spare-", ".tmp") { return spare(number) == name }
        guard name.hasSuffix(".tmp") else { return false }
        switch kind(of: String(name.dropLast(4))) {
        case .segment, .checkpoint, .packed, .quarantine: return true
        case .temporary, .lock, .reserve, .unknown: return false
        }
    }

    private static func packedFile(of name: String) -> SegmentFile? {
        guard name.hasPrefix("packed-"), name.hasSuffix(".pak") else { return nil }
        let parts = name.dropFirst(7).dropLast(4).split(separator: "-")
        guard parts.count == 2, let segment = UInt32(parts[0]), let generation = UInt32(parts[1]),
            generation > 0, packed(segment, generation) == name
        else { return nil }
        return SegmentFile(segment: segment, generation: generation)
    }

    private static func isQuarantine(_ name: String) -> Bool {
        guard name.hasPrefix("quarantine-"), name.hasSuffix(".bin") else { return false }
        let parts = name.dropFirst(11).dropLast(4).split(
            separator: "-",
            omittingEmptySubsequences: false
        )
        guard parts.count > 2, let offset = Int(parts[parts.count - 2]),
            let length = Int(parts[parts.count - 1])
        else { return false }
        let file = parts.dropLast(2).joined(separator: "-")
        guard quarantine(file, offset, length) == name else { return false }
        switch kind(of: file) {
        case .segment, .packed: return true
        case .checkpoint, .temporary, .quarantine, .lock, .reserve, .unknown: return false
        }
    }

    private static func number(in name: String, _ prefix: String, _ suffix: String) -> UInt64? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        return UInt64(name.dropFirst(prefix.count).dropLast(suffix.count))
    }

    private static func padded(_ number: some BinaryInteger) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    }
}
