/// Finds the policy of a name: its exact rule, else the longest pattern that matches, else the default.
struct DestinationPolicy<Policy: Sendable & Equatable> {
    private var exact: [String: Policy] = [:]
    /// Longest first; of equal length in the order of the configuration.
    private var patterns: [(pattern: DestinationPattern, policy: Policy)] = []
    private let fallback: Policy

    init(
        rules: [BrokerSettings.Rule<Policy>],
        fallback: Policy
    ) throws(BrokerError) {
        self.fallback = fallback
        for rule in rules {
            if rule.isPattern {
                patterns.append((try DestinationPattern(parsing: rule.pattern), rule.policy))
            } else {
                exact[rule.pattern] = rule.policy
            }
        }
        let order = patterns.indices.sorted { left, right in
            let (first, second) = (patterns[left], patterns[right])
            let (a, b) = (first.pattern.text.utf8.count, second.pattern.text.utf8.count)
            return a == b ? left < right : a > b
        }
        patterns = order.map { patterns[$0] }
    }

    func policy(for name: DestinationName) -> Policy {
        exact[name.text] ?? patterns.first { $0.pattern.matches(name) }?.policy ?? fallback
    }
}
