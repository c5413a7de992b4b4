import Base

/// What a name stands for.
enum Destination {
    case queue(Queue)
    case fanout(Fanout)
    case topic(Topic)
}

/// All destinations: names to integers once, integers to destinations from then on.
///
/// Destinations are created from the settings and from what the store recovered at start, and later
/// by being used where `[create] allow` covers the name. What was created by being used goes when it
/// was unused for long; temporary queues go with their session.
///
/// Confinement: broker loop.
final class DestinationRegistry {
    let store: any MessageStore
    private var queuePolicies: DestinationPolicy<BrokerSettings.QueuePolicy>
    private var topicPolicies: DestinationPolicy<BrokerSettings.TopicPolicy>
    private var createAllow: [DestinationPattern]
    private var destinationsMax: Int

    /// A place for a destination, under a new generation each time.
    private struct Slot {
        var destination: Destination?
        var name: String
        var generation: UInt32 = 0
        /// The configuration names it, so that it stays.
        var isDeclared: Bool
        /// When it was seen in use last.
        var lastUsed: MonotonicTime
    }

    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var declared: Set<String> = []
    /// Where the search for what is unused goes on.
    private var unusedCursor = 0
    /// Destinations that were made since they were taken.
    private var created: [DestinationID] = []
    private var names = NameIndex()
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
        declared = Self.declaredNames(settings)
        for queue in recovered { try adopt(queue, now: now) }
        for rule in settings.queues where !rule.isPattern {
            try createConfigured(rule.pattern, .queue, now: now)
        }
        for rule in settings.topics where !rule.isPattern {
            try createConfigured(rule.pattern, .topic, now: now)
        }
        for rule in settings.fanouts { try check(rule, queuePolicies) }
        try applyFanouts(settings.fanouts, now: now)
    }

    /// Takes changed settings, or throws and keeps the old ones.
    func apply(_ settings: BrokerSettings, now: Instant) throws(BrokerError) {
        let queues = try DestinationPolicy(
            rules: settings.queues,
            fallback: settings.queueDefaults
        )
        let topics = try DestinationPolicy(
            rules: settings.topics,
            fallback: settings.topicDefaults
        )
        var allowed: [DestinationPattern] = []
        for pattern in settings.createAllow {
            allowed.append(try DestinationPattern(parsing: pattern))
        }
        for rule in settings.fanouts { try check(rule, queues) }
        (queuePolicies, topicPolicies, createAllow) = (queues, topics, allowed)
        destinationsMax = settings.limits.destinations
        declared = Self.declaredNames(settings)
        for index in slots.indices { try applyPolicy(to: index) }
        for rule in settings.queues where !rule.isPattern {
            try createConfigured(rule.pattern, .queue, now: now)
        }
        for rule in settings.topics where !rule.isPattern {
            try createConfigured(rule.pattern, .topic, now: now)
        }
        try applyFanouts(settings.fanouts, now: now)
    }

    private func applyPolicy(to index: Int) throws(BrokerError) {
        guard let destination = slots[index].destination,
            !slots[index].name.hasPrefix(DestinationKind.temporary.prefix)
        else { return }
        slots[index].isDeclared = declared.contains(slots[index].name)
        let name = try DestinationName(parsing: slots[index].name)
        switch destination {
        case .queue(let queue):
            let timeToLive = queue.timeToLive
            queue.apply(bounded(queuePolicies.policy(for: name), isMemory: !queue.isPersistent))
            if queue.timeToLive != timeToLive { restoreTimes(of: queue) }
        case .topic(let topic): topic.policy = topicPolicies.policy(for: name)
        case .fanout: break
        }
    }

    private static func declaredNames(_ settings: BrokerSettings) -> Set<String> {
        var names: Set<String> = []
        for rule in settings.queues where !rule.isPattern { names.insert(rule.pattern) }
        for rule in settings.topics where !rule.isPattern { names.insert(rule.pattern) }
        for rule in settings.fanouts {
            names.insert(rule.name)
            names.formUnion(rule.children)
        }
        return names
    }

    /// Nil once it is gone.
    subscript(id: DestinationID) -> Destination? {
        guard id.slot < slots.count, slots[id.slot].generation == id.generation else { return nil }
        return slots[id.slot].destination
    }

    /// O(1) and without touching the destination: one that goes takes its generation along.
    func isAlive(_ id: DestinationID) -> Bool {
        id.slot < slots.count && slots[id.slot].generation == id.generation
    }

    /// The name of a destination, or the last one's that had this place.
    func name(of id: DestinationID) -> String {
        id.slot < slots.count ? slots[id.slot].name : ""
    }

    func exists(_ name: String) -> Bool { id(of: name) != nil }

    func queue(_ id: QueueID) -> Queue? { persistentQueues[id] }

    /// All queues, in the order of their places.
    var queues: [Queue] {
        slots.compactMap { if case .queue(let queue)? = $0.destination { queue } else { nil } }
    }

    /// Everything that there is, with its id.
    var all: [(id: DestinationID, name: String, destination: Destination)] {
        slots.indices.compactMap { index in
            slots[index].destination.map {
                (
                    DestinationID(slot: index, generation: slots[index].generation),
                    slots[index].name, $0
                )
            }
        }
    }

    private var count: Int { slots.count - freeSlots.count }

    /// Takes what was made since the last call.
    func takeCreated() -> [DestinationID] {
        if created.isEmpty { return [] }
        defer { created = [] }
        return created
    }

    // MARK: Looking up

    func find(
        _ text: String,
        for use: DestinationUse,
        _ identity: Identity,
        storeRefuses: String?,
        now: Instant
    ) throws(BrokerError) -> DestinationID {
        try check(identity, use, text)
        if let id = id(of: text) {
            try check(id, for: use)
            return id
        }
        let name = try DestinationName(parsing: text)
        if name.kind == .fanout {
            throw BrokerError(
                .badDestination,
                "destination \(text) does not exist: a fan-out is declared by [[fanout]]"
            )
        }
        if name.kind == .temporary {
            throw BrokerError(
                .badDestination,
                "destination \(text) does not exist: the connection that it belonged to has ended"
            )
        }
        guard createAllow.contains(where: { $0.matches(name) }) else {
            throw BrokerError(
                .notAllowed,
                "destination \(text) does not exist, and [create] allow does not cover it"
            )
        }
        guard identity.permissions.allow(.create, text) else {
            throw .refused(identity, .create, text)
        }
        return try create(checked: name, storeRefuses: storeRefuses, now: now)
    }

    func id(of name: String) -> DestinationID? { id(ofBytes: name.utf8.span.bytes) }

    private func id(ofBytes bytes: RawSpan) -> DestinationID? {
        names.find(bytes).map { slot in
            DestinationID(slot: slot, generation: slots[slot].generation)
        }
    }

    /// The destination whose name has these bytes, if it is there and may be sent to.
    ///
    /// For those that may use everything, and whose look-ups are many: without any String. Nil for all
    /// that `find` is to decide.
    func find(sendName bytes: RawSpan, _ identity: Identity) -> DestinationID? {
        identity.permissions.isUnlimited ? id(ofBytes: bytes) : nil
    }

    /// Creates a destination if there is room for it.
    func create(
        checked name: DestinationName,
        storeRefuses: String?,
        now: Instant
    ) throws(BrokerError) -> DestinationID {
        try checkRoom(name.text)
        if let storeRefuses, name.kind == .queue,
            queuePolicies.policy(for: name).storage == .persistent
        {
            throw BrokerError(
                .refused,
                "queue \(name.text) cannot be created now: \(storeRefuses)"
            )
        }
        return create(name, now: now)
    }

    func checkRoom(_ name: String) throws(BrokerError) {
        guard count < destinationsMax else {
            throw BrokerError(
                .limitReached,
                "destination \(name) cannot be created: destinations = \(destinationsMax)"
            )
        }
    }

    /// Says whether somebody may use a name, whether it is there or not.
    private func check(
        _ identity: Identity,
        _ use: DestinationUse,
        _ text: String
    ) throws(BrokerError) {
        // An address that nobody can guess is a right by itself; who may read there is asked later.
        if text.hasPrefix(DestinationKind.temporary.prefix) { return }
        let right: Permissions.Right =
            switch use {
            case .send: .send
            case .subscribe: .subscribe
            }
        if identity.permissions.allow(right, text) { return }
        _ = try DestinationName(parsing: text)
        throw .refused(identity, right, text)
    }

    private func check(_ id: DestinationID, for use: DestinationUse) throws(BrokerError) {
        guard use == .subscribe, case .fanout(let fanout)? = self[id] else { return }
        throw BrokerError(
            .badDestination,
            "destination \(fanout.name) is a fan-out: subscribe to one of its queues, "
                + fanout.children.map(\.name).joined(separator: ", ")
        )
    }

    // MARK: Creating

    private func create(_ name: DestinationName, now: Instant) -> DestinationID {
        let destination = nextID
        switch name.kind {
        case .queue:
            let queue = makeQueue(name, destination, now: now)
            return add(.queue(queue), name.text, now: now)
        case .topic:
            let topic = Topic(
                id: takeMemoryID(),
                name: name.text,
                destination: destination,
                policy: topicPolicies.policy(for: name),
                firstSequence: Self.firstSequence(now)
            )
            return add(.topic(topic), name.text, now: now)
        case .fanout, .temporary:
            fatalError("these are not created by being used")
        }
    }

    private func makeQueue(
        _ name: DestinationName,
        _ destination: DestinationID,
        now: Instant
    ) -> Queue {
        let policy = queuePolicies.policy(for: name)
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
            return makeMemoryQueue(name.text, destination, policy, now: now)
        }
    }

    private func makeMemoryQueue(
        _ name: String,
        _ destination: DestinationID,
        _ policy: BrokerSettings.QueuePolicy,
        now: Instant
    ) -> Queue {
        Queue(
            memory: takeMemoryID(),
            name: name,
            destination: destination,
            policy: bounded(policy, isMemory: true),
            firstSequence: Self.firstSequence(now)
        )
    }

    /// A memory queue is never without limits.
    private func bounded(
        _ policy: BrokerSettings.QueuePolicy,
        isMemory: Bool
    ) -> BrokerSettings.QueuePolicy {
        guard isMemory else { return policy }
        var policy = policy
        if policy.bytesMax == 0 { policy.bytesMax = BrokerSettings.memoryQueueBytesDefault }
        if policy.messagesMax == 0 {
            policy.messagesMax = BrokerSettings.memoryQueueMessagesDefault(
                bytesMax: policy.bytesMax
            )
        }
        return policy
    }

    /// Adds a memory queue that no rule speaks of.
    func addMemoryQueue(
        _ name: String,
        _ policy: BrokerSettings.QueuePolicy,
        now: Instant
    ) -> (DestinationID, Queue) {
        let queue = makeMemoryQueue(name, nextID, policy, now: now)
        return (add(.queue(queue), name, now: now), queue)
    }

    // MARK: Going

    /// Removes a destination that nobody uses; its id means nothing from then on.
    ///
    /// Deletes a persistent queue in the store. No fetch of it may be open.
    func delete(_ id: DestinationID) {
        guard let destination = self[id] else { return }
        if case .queue(let queue) = destination, queue.isPersistent {
            persistentQueues[queue.id] = nil
            store.delete(queue.id)
        }
        remove(id)
    }

    /// Looks at some destinations, where it ended the last time; returns those that are neither used
    /// nor declared, and have not been for long.
    func search(
        _ countMax: Int,
        isUsed: (Destination) -> Bool,
        isOld: (MonotonicTime) -> Bool,
        at now: () -> MonotonicTime
    ) -> [DestinationID] {
        var found: [DestinationID] = []
        for _ in 0..<min(countMax, slots.count) {
            unusedCursor = unusedCursor + 1 < slots.count ? unusedCursor + 1 : 0
            let slot = slots[unusedCursor]
            guard let destination = slot.destination, !slot.isDeclared,
                !slot.name.hasPrefix(DestinationKind.temporary.prefix)
            else { continue }
            if isUsed(destination) {
                slots[unusedCursor].lastUsed = now()
            } else if isOld(slot.lastUsed) {
                found.append(DestinationID(slot: unusedCursor, generation: slot.generation))
            }
        }
        return found
    }

    func createConfigured(
        _ text: String,
        _ kind: DestinationKind,
        now: Instant
    ) throws(BrokerError) {
        guard id(of: text) == nil else { return }
        let name = try DestinationName(parsing: text)
        guard name.kind == kind else {
            throw BrokerError(.badDestination, "\(text): expected a name in \(kind.prefix)")
        }
        _ = create(name, now: now)
    }

    /// Gives a fan-out its place, or the place that it has already.
    func put(_ fanout: Fanout, now: Instant) {
        guard let id = id(of: fanout.name) else {
            _ = add(.fanout(fanout), fanout.name, now: now)
            return
        }
        slots[id.slot].destination = .fanout(fanout)
    }

    /// Takes over a queue that the store found.
    ///
    /// Its data wins over the question whether the name may be created.
    private func adopt(_ recovered: RecoveredQueue, now: Instant) throws(BrokerError) {
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
            destination: nextID,
            policy: policy,
            first: recovered.depth.first,
            next: recovered.depth.next
        )
        persistentQueues[recovered.id] = queue
        takeOver(queue, now: now)
        _ = add(.queue(queue), recovered.name, now: now)
    }

    /// What the store knows of entries that came back, and of times.
    private func takeOver(_ queue: Queue, now: Instant) {
        for entry in store.requeued(queue.id) {
            let reason = queue.death(
                isRejected: entry.isRejected,
                deliveryCount: entry.deliveryCount
            )
            if let reason {
                queue.setDying(
                    Queue.Dying(
                        sequence: entry.sequence,
                        deliveryCount: entry.deliveryCount,
                        reason: reason,
                        item: nil
                    )
                )
            } else if entry.due > now.wall.milliseconds {
                // No longer than it was to wait, wherever the clock stood then.
                let left = min(
                    Interval.milliseconds(entry.due - now.wall.milliseconds),
                    queue.delay(of: entry.deliveryCount)
                )
                queue.delayed.insert(
                    DelayedEntries.Entry(
                        sequence: entry.sequence,
                        deliveryCount: entry.deliveryCount,
                        isRejected: false,
                        due: now.monotonic.advanced(by: left),
                        item: nil
                    )
                )
            }
        }
        restoreTimes(of: queue)
    }

    /// Finds out anew when messages of a queue expire.
    private func restoreTimes(of queue: Queue) {
        guard queue.isPersistent else {
            // At the next look everything that is in it is looked at.
            queue.expiry.restore([(EntrySequence(0), 0)])
            return
        }
        queue.expiry.restore(
            store.expiryRanges(queue.id).map { range in
                let expires = range.expires == .max ? 0 : range.expires
                return (range.first, queue.due(expires: expires, time: range.time))
            }
        )
    }

    private var nextID: DestinationID {
        let slot = freeSlots.last ?? slots.count
        let generation = slot < slots.count ? slots[slot].generation : 0
        return DestinationID(slot: slot, generation: generation)
    }

    private func add(_ destination: Destination, _ name: String, now: Instant) -> DestinationID {
        let id = nextID
        let slot = Slot(
            destination: destination,
            name: name,
            generation: id.generation,
            isDeclared: declared.contains(name),
            lastUsed: now.monotonic
        )
        if freeSlots.popLast() != nil { slots[id.slot] = slot } else { slots.append(slot) }
        invariant(self.id(of: name) == nil, "a name stands for one destination")
        names.insert(name, at: id.slot)
        created.append(id)
        return id
    }

    private func remove(_ id: DestinationID) {
        names.remove(slots[id.slot].name)
        slots[id.slot].destination = nil
        slots[id.slot].generation &+= 1
        freeSlots.append(id.slot)
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
