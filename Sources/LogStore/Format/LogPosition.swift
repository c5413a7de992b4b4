/// A place in the whole log: segment number and offset in one rising number.
package struct LogPosition: Comparable, Hashable, Sendable, CustomStringConvertible {
    package let value: UInt64

    package init(value: UInt64) {
        self.value = value
    }

    package init(segment: UInt32, offset: Int) {
        value = UInt64(segment) << 32 | UInt64(offset)
    }

    package var segment: UInt32 { UInt32(value >> 32) }
    package var offset: Int { Int(value & 0xFFFF_FFFF) }

    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }

    package var description: String { "\(segment):\(offset)" }
}
