/// A number of bytes, for people: parsed from and printed as `64MiB`, `512KiB`, `100`.
package struct ByteCount: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let bytes: Int

    package init(_ bytes: Int) {
        self.bytes = bytes
    }

    private static let units: [(name: String, factor: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
    ]

    /// Reads a whole number with an optional unit (B, KiB, MiB, GiB, TiB), or nothing if it is none.
    package init?(parsing text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let unit = text.dropFirst(digits.count)
        if unit.isEmpty {
            self.init(number)
            return
        }
        guard let factor = Self.units.first(where: { $0.name == unit })?.factor else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        self.init(product)
    }

    package static func < (left: Self, right: Self) -> Bool { left.bytes < right.bytes }

    /// The largest unit that divides the number, or one decimal of the largest that fits.
    package var description: String {
        for (name, factor) in Self.units where bytes >= factor && factor > 1 {
            if bytes % factor == 0 { return "\(bytes / factor) \(name)" }
            let tenths = bytes / factor * 10 + bytes % factor * 10 / factor
            return "\(tenths / 10).\(tenths % 10) \(name)"
        }
        return "\(bytes) B"
    }
}
