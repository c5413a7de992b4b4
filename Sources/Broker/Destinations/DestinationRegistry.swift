import Base

/// What a name stands for.
enum Destination {
    case queue(Queue)
    case fanout(Fanout)
    case topic(Topic)
}

/// All destinations: names to integers once, integers to destinations ever after.
///
/// Destinations are created from the settings and from what the store recovered at start, and later
/// by being used where `[create] allow` covers the name. None is ever removed.
///
/// Confinement: broker loop.
final class DestinationRegistry {
    private let store: any MessageStore
    private let queuePolicies: DestinationPolicy<BrokerSettings.QueuePolicy>
    private let topicPolicies: DestinationPolicy<BrokerSettings.TopicPolicy>
    private let createAllow: [DestinationPattern]
    private let destinationsMax: Int

    private var destinations: [Destination] = []
    private var names: [String] = []
    private var identifiers: [String: DestinationID] = [:]
    private var persistentQueues: [QueueID: Queue] = [:]
    private var nextMemoryID = DestinationRegistry.memoryIDsBegin

    /// Ids from here on are the core's own: memory queues and topics.
    ///
    /// The store's lie below.
    static let memoryIDsBegin: UInt32 = 1 << 31

    init(
        store: any MessageStore,
        settings: BrokerSettings,
        recovered: [RecoveredQueue],
        now: Instant
    ) throws(BrokerError) {
        self.store = store
        queuePolicies = try DestinationPolicy(
            rules: settings.queues,
            fallback: settings.queueDefaults
        )
        topicPolicies = try DestinationPolicy(
            rules: settings.topics,
            fallback: settings.topicDefaults
        )
        var allowed: [DestinationPattern] = []
        for pattern in settings.createAllow {
            allowed.append(try DestinationPattern(parsing: pattern))
        }
        createAllow = allowed
        destinationsMax = settings.limits.destinations
        for queue in recovered { try adopt(queue) }
        for rule in settings.queues where !rule.isPattern {
            try createConfigured(rule.pattern, .queue, now: now)
        }
        for rule in settings.topics where !rule.isPattern {
            try createConfigured(rule.pattern, .topic, now: now)
        }
        for rule in settings.fanouts { try createFanout(rule, now: now) }
    }

    subscript(id: DestinationID) -> Destination { destinations[Int(id.value)] }

    func name(of id: DestinationID) -> String { names[Int(id.value)] }

    func queue(_ id: QueueID) -> Queue? { persistentQueues[id] }

    /// All queues, in the order of their creation.
    var queues: [Queue] {
        destinations.compactMap { if case .queue(let queue) = $0 { queue } else { nil } }
    }

    // MARK: Looking up

    func find(
        _ text: String,
        for use: DestinationUse,
        storeRefuses: String?,
        now: Instant
    ) throws(BrokerError) -> DestinationID {
        if let id = identifiers[text] {
            try check(id, for: use)
            return id
        }
        let name = try DestinationName(parsing: text)
        guard name.kind != .fanout else {
            throw BrokerError(
                .badDestination,
                "destination \(text) does not exist: a fan-out is declared by [[fanout]]"
            )
        }
        guard createAllow.contains(where: { $0.matches(name) }) else {
            throw BrokerError(
                .notAllowed,
                "destination \(text) does not exist, and [create] allow does not cover it"
            )
        }
        guard destinations.count < destinationsMax else {
            throw BrokerError(
                .limitReached,
                "destination \(text) cannot be created: destinations = \(destinationsMax)"
            )
        }
        if let storeRefuses, name.kind == .queue,
            queuePolicies.policy(for: name).storage == .persistent
        {
            throw BrokerError(
                .refused,
                "queue \(text) cannot be created now: \(storeRefuses)"
            )
        }
        return create(name, now: now)
    }

    private func check(_ id: DestinationID, for use: DestinationUse) throws(BrokerError) {
        guard use == .subscribe, case .fanout(let fanout) = self[id] else { return }
        throw BrokerError(
            .badDestination,
            "destination \(fanout.name) is a fan-out: subscribe to one of its queues, "
                + fanout.children.map(\.name).joined(separator: ", ")
        )
    }

    // MARK: Creating

    private func create(_ name: DestinationName, now: Instant) -> DestinationID {
        let destination = DestinationID(UInt32(destinations.count))
        switch name.kind {
        case .queue:
            let queue = makeQueue(name, destination, now: now)
            return add(.queue(queue), name.text)
        case .topic:
            let topic = Topic(
                id: takeMemoryID(),
                name: name.text,
                destination: destination,
                policy: topicPolicies.policy(for: name),
                firstSequence: Self.firstSequence(now)
            )
            return add(.topic(topic), name.text)
        case .fanout:
            fatalError("fan-outs are created from the settings alone")
        }
    }

    private func makeQueue(
        _ name: DestinationName,
        _ destination: DestinationID,
        now: Instant
    ) -> Queue {
        var policy = queuePolicies.policy(for: name)
        switch policy.storage {
        case .persistent:
            let id = store.declare(name.text)
            invariant(id.value < Self.memoryIDsBegin, "the store's queue ids lie below the core's")
            let next = store.depth(id).next
            let queue = Queue(
                persistent: id,
                name: name.text,
                destination: destination,
                policy: policy,
                first: next,
                next: next
            )
            persistentQueues[id] = queue
            return queue
        case .memory:
            if policy.bytesMax == 0 { policy.bytesMax = BrokerSettings.memoryQueueBytesDefault }
            if policy.messagesMax == 0 {
                policy.messagesMax = BrokerSettings.memoryQueueMessagesDefault(
                    bytesMax: policy.bytesMax
                )
            }
            return Queue(
                memory: takeMemoryID(),
                name: name.text,
                destination: destination,
                policy: policy,
                firstSequence: Self.firstSequence(now)
            )
        }
    }

    private func createConfigured(
        _ text: String,
        _ kind: DestinationKind,
        now: Instant
    ) throws(BrokerError) {
        guard identifiers[text] == nil else { return }
        let name = try DestinationName(parsing: text)
        guard name.kind == kind else {
            throw BrokerError(.badDestination, "\(text): expected a name in \(kind.prefix)")
        }
        _ = create(name, now: now)
    }

    private func createFanout(
        _ rule: BrokerSettings.FanoutRule,
        now: Instant
    ) throws(BrokerError) {
        let name = try DestinationName(parsing: rule.name)
        guard name.kind == .fanout, identifiers[rule.name] == nil else {
            throw BrokerError(
                .badDestination,
                "fan-out \(rule.name): a new name in /fanout/ is needed"
            )
        }
        var children: [Queue] = []
        for child in rule.children {
            try createConfigured(child, .queue, now: now)
            guard let id = identifiers[child], case .queue(let queue) = self[id],
                !children.contains(where: { $0 === queue })
            else {
                throw BrokerError(
                    .badDestination,
                    "fan-out \(rule.name): child \(child) is there twice"
                )
            }
            children.append(queue)
        }
        let fanout = Fanout(name: rule.name, children: children)
        guard !children.isEmpty else {
            throw BrokerError(.badDestination, "fan-out \(rule.name) has no children")
        }
        guard fanout.persistentIDs.count <= store.limits.entriesPerMessageMax else {
            throw BrokerError(
                .limitReached,
                "fan-out \(rule.name) has \(fanout.persistentIDs.count) persistent children: "
                    + "the store takes \(store.limits.entriesPerMessageMax)"
            )
        }
        _ = add(.fanout(fanout), rule.name)
    }

    /// Takes over a queue that the store found.
    ///
    /// Its data wins over the question whether the name may be created.
    private func adopt(_ recovered: RecoveredQueue) throws(BrokerError) {
        let name = try DestinationName(parsing: recovered.name)
        let policy = queuePolicies.policy(for: name)
        guard policy.storage == .persistent else {
            guard recovered.depth.messages == 0 else {
                throw BrokerError(
                    .notAllowed,
                    "queue \(recovered.name) is to be a memory queue, but "
                        + "\(recovered.depth.messages) messages are stored in it: drain it first"
                )
            }
            store.delete(recovered.id)
            return
        }
        let queue = Queue(
            persistent: recovered.id,
            name: recovered.name,
            destination: DestinationID(UInt32(destinations.count)),
            policy: policy,
            first: recovered.depth.first,
            next: recovered.depth.next
        )
        persistentQueues[recovered.id] = queue
        _ = add(.queue(queue), recovered.name)
    }

    private func add(_ destination: Destination, _ name: String) -> DestinationID {
        let id = DestinationID(UInt32(destinations.count))
        destinations.append(destination)
        names.append(name)
        identifiers[name] = id
        return id
    }

    private func takeMemoryID() -> QueueID {
        defer { nextMemoryID += 1 }
        return QueueID(nextMemoryID)
    }

    /// Where sequences that no store keeps begin: past all that an earlier run can have used, as
    /// long as it made fewer than a million a millisecond.
    private static func firstSequence(_ now: Instant) -> EntrySequence {
        EntrySequence(max(1, now.wall.milliseconds << 20))
    }
}
