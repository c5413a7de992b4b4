/// A protocol version that radiator speaks.
package enum StompVersion: String, Sendable, Comparable, CaseIterable {
    case v10 = "1.0"
    case v11 = "1.1"
    case v12 = "1.2"

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
