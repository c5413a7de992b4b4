import Base

/// Fan-outs come and go with the settings alone.
extension DestinationRegistry {
    /// Refuses a fan-out that cannot be, before anything is changed.
    func check(
        _ rule: BrokerSettings.FanoutRule,
        _ policies: DestinationPolicy<BrokerSettings.QueuePolicy>
    ) throws(BrokerError) {
        guard try DestinationName(parsing: rule.name).kind == .fanout else {
            throw BrokerError(
                .badDestination,
                "fan-out \(rule.name): a name in /fanout/ is needed"
            )
        }
        guard !rule.children.isEmpty else {
            throw BrokerError(.badDestination, "fan-out \(rule.name) has no children")
        }
        guard Set(rule.children).count == rule.children.count else {
            throw BrokerError(.badDestination, "fan-out \(rule.name): a child is there twice")
        }
        var persistentCount = 0
        for child in rule.children {
            let name = try DestinationName(parsing: child)
            guard name.kind == .queue else {
                throw BrokerError(
                    .badDestination,
                    "fan-out \(rule.name): child \(child) is no queue"
                )
            }
            if isPersistent(name, policies) { persistentCount += 1 }
        }
        guard persistentCount <= store.limits.entriesPerMessageMax else {
            throw BrokerError(
                .limitReached,
                "fan-out \(rule.name) has \(persistentCount) persistent children: "
                    + "the store takes \(store.limits.entriesPerMessageMax)"
            )
        }
    }

    /// Whether a queue is persistent, or would be if it were made now.
    private func isPersistent(
        _ name: DestinationName,
        _ policies: DestinationPolicy<BrokerSettings.QueuePolicy>
    ) -> Bool {
        if let id = id(of: name.text), case .queue(let queue)? = self[id] {
            return queue.isPersistent
        }
        return policies.policy(for: name).storage == .persistent
    }

    /// Makes the fan-outs that were checked and are new, gives the others their children, and removes
    /// those that are not in the settings any more.
    func applyFanouts(
        _ rules: [BrokerSettings.FanoutRule],
        now: Instant
    ) throws(BrokerError) {
        let names = Set(rules.map(\.name))
        for (id, name, destination) in all {
            if case .fanout = destination, !names.contains(name) { delete(id) }
        }
        for rule in rules {
            var children: [Queue] = []
            for child in rule.children {
                try createConfigured(child, .queue, now: now)
                guard let id = id(of: child), case .queue(let queue)? = self[id] else { continue }
                children.append(queue)
            }
            invariant(children.count == rule.children.count, "a fan-out's children are queues")
            put(Fanout(name: rule.name, children: children), now: now)
        }
    }
}
