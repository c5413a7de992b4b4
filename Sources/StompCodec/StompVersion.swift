/// A protocol version that radiator speaks.
package enum StompVersion: String, Sendable, Comparable, CaseIterable {
    case v10 = "1.0"
    case v11 = "1.1"
    case v12 = "1.2"

    package static func < (left: Self, right: Self) -> Bool { left.ordinal < right.ordinal }

    /// Its place among the versions; comparing the texts would cost on the way of every frame.
    private var ordinal: Int {
        switch self {
        case .v10: 0
        case .v11: 1
        case .v12: 2
        }
    }

    /// Every version, as an ERROR lists them.
    package static let supported = allCases.map(\.rawValue).joined(separator: ",")

    /// The highest version that both sides speak, or nil if there is none.
    ///
    /// `acceptVersion` is the header's value; a missing one means 1.0. Unknown versions in the list
    /// and spaces around its commas are skipped. STOMP 1.2, "Protocol Negotiation".
    package static func negotiate(acceptVersion: String?) -> StompVersion? {
        allCases.last { $0.isAccepted(by: acceptVersion) }
    }

    /// True if an `accept-version` header has this version; a missing one has 1.0 only.
    package func isAccepted(by acceptVersion: String?) -> Bool {
        guard let acceptVersion else { return self == .v10 }
        return acceptVersion.split(separator: ",").contains { item in
            let start = item.drop { $0 == " " }
            return start.prefix { $0 != " " } == rawValue
        }
    }
}
