/// What one user may do, as patterns over names of destinations.
///
/// Looked at when a name is looked up, never for a single message.
package struct Permissions: Sendable, Equatable {
    /// What can be permitted.
    package enum Right: String, Sendable, CaseIterable {
        case send
        case subscribe
        case create

        /// The types of destinations that it can be for, as names begin.
        package var kinds: [String] {
            switch self {
            case .send: ["/queue/", "/fanout/", "/topic/"]
            case .subscribe, .create: ["/queue/", "/topic/"]
            }
        }
    }

    let isUnlimited: Bool
    private let sending: [DestinationPattern]
    private let subscribing: [DestinationPattern]
    private let creating: [DestinationPattern]

    /// Everything is permitted.
    package static let everything = Permissions(isUnlimited: true)
    /// Nothing is.
    package static let nothing = Permissions(isUnlimited: false)

    private init(isUnlimited: Bool) {
        self.isUnlimited = isUnlimited
        sending = []
        subscribing = []
        creating = []
    }

    /// What these patterns cover; throws `.badDestination` for one that is none.
    package init(
        send: [String],
        subscribe: [String],
        create: [String]
    ) throws(BrokerError) {
        isUnlimited = false
        sending = try Self.parse(send)
        subscribing = try Self.parse(subscribe)
        creating = try Self.parse(create)
    }

    private static func parse(_ texts: [String]) throws(BrokerError) -> [DestinationPattern] {
        var patterns: [DestinationPattern] = []
        for text in texts { patterns.append(try DestinationPattern(parsing: text)) }
        return patterns
    }

    /// Whether something may be done with the destination of this name.
    ///
    /// O(patterns).
    package func allow(_ right: Right, _ name: String) -> Bool {
        isUnlimited || patterns(right).contains { $0.matches(name) }
    }

    /// Whether one permitted pattern covers all that this one does, now and later.
    package func allowSubscribing(toAll pattern: String) throws(BrokerError) -> Bool {
        allowSubscribing(toAll: try DestinationPattern(checking: pattern))
    }

    func allowSubscribing(toAll pattern: DestinationPattern) -> Bool {
        isUnlimited || subscribing.contains { $0.covers(pattern) }
    }

    /// Whether temporary queues may be made: by everybody who may send or subscribe to anything.
    package var allowTemporaries: Bool {
        isUnlimited || !sending.isEmpty || !subscribing.isEmpty
    }

    private func patterns(_ right: Right) -> [DestinationPattern] {
        switch right {
        case .send: sending
        case .subscribe: subscribing
        case .create: creating
        }
    }
}

extension DestinationPattern {
    /// Whether every name that `other` matches is matched by this pattern, too.
    func covers(_ other: DestinationPattern) -> Bool {
        guard kind == other.kind else { return false }
        if takesTail {
            // `other` has names with one part more than it lists, if it takes a tail.
            let othersLeast = other.parts.count + (other.takesTail ? 1 : 0)
            guard othersLeast > parts.count, other.parts.count >= parts.count else { return false }
        } else {
            guard !other.takesTail, parts.count == other.parts.count else { return false }
        }
        return zip(parts, other.parts).allSatisfy { own, others in
            own == "*" || (own == others && others != "*")
        }
    }
}
