import Base
import Broker
import NIOCore

/// One seeded run: several clients call the broker, rightly and wrongly, over a hostile store, and
/// a plain model judges all that comes out.
///
/// At the end everything is drained.
final class BrokerSimulation {
    private var generator: SeededGenerator
    private let store: MemoryMessageStore
    private var broker: Broker
    private let model: BrokerModel
    private var time: UInt64 = 1_000
    private var nextText = 0
    /// The store has ended.
    private var ended = false
    private let fanout = ["/queue/p1", "/queue/m1", "/queue/p2"]
    private let names = [
        "/queue/p1", "/queue/p2", "/queue/p3", "/queue/m1", "/queue/m2", "/queue/t.p", "/queue/t.m",
    ]
    /// Queues in which time matters: leases, delays, expiry, dead letters.
    private static let timedPrefix = "/queue/t."
    private static let deadName = "/queue/d"
    /// More than the broker's own granularity, so that every step sees what time brought.
    private static let stepMilliseconds: UInt64 = 1_500

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        var behaviour = MemoryMessageStore.Behaviour()
        behaviour.seed = seed &* 31 &+ 7
        behaviour.isDurableAtOnce = generator.oneIn(8)
        behaviour.isErratic = !generator.oneIn(8)
        behaviour.laterFetchOneIn = [0, 1, 2, 4].randomElement(using: &generator) ?? 0
        behaviour.shortFetchOneIn = [0, 1, 2, 4].randomElement(using: &generator) ?? 0
        store = MemoryMessageStore(behaviour)

        var settings = BrokerSettings()
        settings.prefetch = [1, 1, 2, 5].randomElement(using: &generator) ?? 1
        settings.limits.unwrittenBytes =
            [300, 1500, 1 << 18].randomElement(using: &generator) ?? 300
        settings.limits.fetchedBytes = [0, 50, 1 << 20].randomElement(using: &generator) ?? 0
        settings.limits.transactionMessages = 6
        settings.limits.transactionAge = .seconds(86_400)
        settings.topicDefaults.bufferBytes = 700
        model = BrokerModel(
            sharedCredit: settings.prefetch,
            unwrittenMax: settings.limits.unwrittenBytes
        )
        for name in names + [Self.deadName] {
            let policy = Self.drawPolicy(name, &generator)
            settings.queues.append(.init(pattern: name, isPattern: false, policy: policy))
            let queue = BrokerModel.ModelQueue(
                name: name,
                isPersistent: policy.storage == .persistent,
                messagesMax: policy.messagesMax,
                dropsOldest: policy.overflow == .dropOldest,
                isOfDeadLetters: name == Self.deadName
            )
            queue.deliveriesMax = name == Self.deadName ? 0 : policy.deliveriesMax
            queue.delays = policy.requeueDelays.map(\.milliseconds)
            queue.ackTimeout = policy.ackTimeout.milliseconds
            queue.timeToLive = policy.timeToLive.milliseconds
            queue.deadLettersExpired = policy.deadLettersExpired
            model.queues[name] = queue
        }
        settings.fanouts = [.init(name: "/fanout/f", children: fanout)]
        broker = try Broker(
            store: store,
            settings: settings,
            recovered: [],
            now: Instant(
                monotonic: MonotonicTime(nanoseconds: 0),
                wall: WallTime(milliseconds: 1_000)
            )
        )
    }

    private static func drawPolicy(
        _ name: String,
        _ generator: inout SeededGenerator
    ) -> BrokerSettings.QueuePolicy {
        var policy = BrokerSettings.QueuePolicy()
        policy.ackTimeout = .zero
        policy.deliveriesMax = 0
        policy.deadLetter = Self.deadName
        let isMemory = name.hasPrefix("/queue/m") || name.hasSuffix(".m")
        policy.storage = isMemory ? .memory : .persistent
        if name == Self.deadName {
            policy.storage = generator.oneIn(2) ? .memory : .persistent
            return policy
        }
        guard name.hasPrefix(Self.timedPrefix) else {
            if generator.oneIn(2) { policy.messagesMax = .random(in: 1...12, using: &generator) }
            if isMemory, policy.messagesMax > 0, generator.oneIn(2) {
                policy.overflow = .dropOldest
            }
            return policy
        }
        if generator.oneIn(2) { policy.deliveriesMax = .random(in: 1...4, using: &generator) }
        if generator.oneIn(2) { policy.ackTimeout = .milliseconds(6_000) }
        if generator.oneIn(3) { policy.timeToLive = .milliseconds(40_000) }
        if generator.oneIn(3) { policy.requeueDelays = [.milliseconds(3_000)] }
        if generator.oneIn(3) {
            policy.requeueDelays = [.milliseconds(1_000), .milliseconds(9_000)]
        }
        policy.deadLettersExpired = generator.oneIn(2)
        return policy
    }

    private var now: Instant {
        Instant(
            monotonic: MonotonicTime(nanoseconds: time * 1_000_000),
            wall: WallTime(milliseconds: time)
        )
    }

    /// Runs to the end; throws a `Violation` at the first thing that is wrong.
    func run(steps: Int) throws {
        for step in 0..<steps {
            try passTime()
            try act()
            try carryOutEffects()
            if generator.oneIn(2) { try pump(once: true) }
            if step % 64 == 63 { try settleDown() }
        }
        if generator.oneIn(8) { return try endInFailure() }
        try drain()
    }

    /// Lets a moment pass, as the daemon's loop does.
    private func passTime() throws {
        time += Self.stepMilliseconds
        model.time = time
        guard let next = broker.nextTick, next <= now.monotonic else { return }
        let returned = broker.stats.ackTimeouts
        broker.tick(now: now)
        let before = model.timeouts
        model.passTime()
        guard broker.stats.ackTimeouts - returned == model.timeouts - before else {
            throw Violation(
                "\(broker.stats.ackTimeouts - returned) leases ended, not "
                    + "\(model.timeouts - before)"
            )
        }
        try carryOutEffects()
    }

    // MARK: Actions

    private func act() throws {
        let session = model.sessions.values.sorted { $0.id.value < $1.id.value }
            .randomElement(using: &generator)
        guard let session else { return try connect() }
        switch Int.random(in: 0..<40, using: &generator) {
        case 0: if model.sessions.count < 6 { try connect() }
        case 1: disconnect(session)
        case 2, 3, 4: try subscribe(session)
        case 5: unsubscribe(session)
        case 6..<18: try send(session)
        case 18..<29:
            let answers: [Answer] = [.settle, .settle, .settle, .settle, .giveBack, .reject]
            try answer(session, answers.randomElement(using: &generator) ?? .settle)
        case 29, 30: try answerNonsense(session)
        case 31: try begin(session)
        case 32, 33: try commit(session)
        case 34: try abort(session)
        default: write(session)
        }
    }

    private func connect() throws {
        let id = try broker.openSession(now: now)
        guard model.sessions[id] == nil else { throw Violation("\(id) is given out twice") }
        model.sessions[id] = BrokerModel.ModelSession(id: id)
    }

    private func disconnect(_ session: BrokerModel.ModelSession) {
        for subscription in session.subscriptions { model.endSubscription(session, subscription) }
        model.sessions[session.id] = nil
        broker.closeSession(session.id, now: now)
    }

    private func subscribe(_ session: BrokerModel.ModelSession) throws {
        guard session.subscriptions.count < 5 else { return }
        let isPattern = generator.oneIn(8)
        let all = ["/queue/>", "/queue/t.*"]
        let name =
            isPattern
            ? all.randomElement(using: &generator) ?? all[0]
            : generator.oneIn(8) ? Self.deadName : generator.oneIn(6) ? "/topic/t" : pickName()
        let mode =
            [AckMode.individual, .cumulative, .auto].randomElement(using: &generator) ?? .auto
        let prefetch = generator.oneIn(2) ? Int.random(in: 1...4, using: &generator) : nil
        let id = try broker.subscribe(
            session.id,
            to: name,
            SubscriptionRequest(mode: mode, prefetch: prefetch),
            now: now
        )
        session.subscriptions.append(
            BrokerModel.ModelSubscription(
                id: id,
                queues: covered(by: name),
                mode: mode,
                prefetch: prefetch
            )
        )
    }

    private func unsubscribe(_ session: BrokerModel.ModelSession) {
        guard let subscription = session.subscriptions.randomElement(using: &generator) else {
            broker.unsubscribe(session.id, SubscriptionID(1_000), now: now)
            return
        }
        model.endSubscription(session, subscription)
        broker.unsubscribe(session.id, subscription.id, now: now)
    }

    private func send(_ session: BrokerModel.ModelSession) throws {
        let name =
            [pickName(), pickName(), pickName(), "/fanout/f", "/topic/t"]
            .randomElement(using: &generator) ?? pickName()
        nextText += 1
        let padding = String(repeating: "x", count: .random(in: 0..<12, using: &generator))
        let isTimed = name.hasPrefix(Self.timedPrefix) && generator.oneIn(3)
        let message = Message(
            text: "\(nextText) \(padding)",
            expires: isTimed ? time + .random(in: 1_000...30_000, using: &generator) : 0
        )
        let destination = try broker.destination(name, for: .send, of: nil, now: now)
        if generator.oneIn(4), let open = session.transactions.keys.sorted().first {
            let count = operations(session, open)
            let failure = error {
                _ = try broker.send(
                    session.id,
                    to: destination,
                    message,
                    transaction: open,
                    now: now
                )
            }
            guard (failure == nil) == (count < 6) else {
                throw Violation("transaction of \(count): \(failure?.text ?? "taken")")
            }
            if failure == nil {
                session.transactions[open]?.append((name, message))
            }
            return
        }
        let queues = self.queues(of: name)
        let hasRoom = queues.allSatisfy { model.hasRoom($0, for: 1) }
        var completion: Completion?
        let failure = error {
            completion = try broker.send(session.id, to: destination, message, now: now)
        }
        guard (completion != nil) == hasRoom else {
            throw Violation("send to \(name) with room \(hasRoom): \(failure?.text ?? "taken")")
        }
        if let completion { accept(message, queues, completion) }
    }

    private func accept(
        _ message: Message,
        _ queues: [BrokerModel.ModelQueue],
        _ completion: Completion
    ) {
        for queue in queues {
            var append = AppendID.none
            if case .whenDurable(let id) = completion { append = id }
            model.accepted(message, in: queue, append: append)
        }
    }

    private func answer(_ session: BrokerModel.ModelSession, _ answer: Answer) throws {
        let all = session.subscriptions.flatMap { subscription in
            subscription.held.map { (subscription, $0) }
        }
        guard let (subscription, held) = all.randomElement(using: &generator) else { return }
        // When a rejected message leaves its queue nobody can tell, so a bounded queue has none.
        let isTimed = subscription.queues.allSatisfy { $0.name.hasPrefix(Self.timedPrefix) }
        let answer = answer == .reject && !isTimed ? .giveBack : answer
        let target: AckTarget =
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: .message(held.id, in: nil)
            case 1: .message(held.id, in: subscription.id)
            default: .delivery(subscription.id, held.number)
            }
        let reach = model.reach(subscription, held.number)
        let open = generator.oneIn(4) ? session.transactions.keys.sorted().first : nil
        let late = broker.stats.lateAcknowledgements
        let fits = open.map { operations(session, $0) + reach.count <= 6 } ?? true
        let failure = error {
            _ = try broker.answer(session.id, target, answer, transaction: open, now: now)
        }
        guard (failure == nil) == fits else {
            throw Violation("answer in a transaction: \(failure?.text ?? "taken")")
        }
        guard (broker.stats.lateAcknowledgements > late) == reach.isEmpty else {
            throw Violation("an answer that reaches \(reach.count) deliveries: wrongly counted")
        }
        guard failure == nil else { return }
        if let open {
            session.claims[open, default: 0] += reach.count
            for index in reach { subscription.held[index].claim = Self.mark(answer) + open }
        } else {
            model.finish(subscription, reach, answer)
        }
    }

    private static func mark(_ answer: Answer) -> String {
        switch answer {
        case .settle: "a"
        case .giveBack: "r"
        case .reject: "x"
        }
    }

    /// The queues that a subscription to this name gets messages of.
    private func covered(by name: String) -> [BrokerModel.ModelQueue] {
        switch name {
        case "/queue/>": model.queues.values.sorted { $0.name < $1.name }
        case "/queue/t.*":
            model.queues.values.filter { $0.name.hasPrefix(Self.timedPrefix) }
                .sorted { $0.name < $1.name }
        default: model.queues[name].map { [$0] } ?? []
        }
    }

    private func answerNonsense(_ session: BrokerModel.ModelSession) throws {
        let before = broker.stats.lateAcknowledgements
        let nowhere = MessageID(queue: QueueID(900), sequence: EntrySequence(1))
        let targets: [AckTarget] = [
            .message(nowhere, in: nil), .delivery(SubscriptionID(9_999), DeliveryNumber(1)),
            .delivery(session.subscriptions.first?.id ?? SubscriptionID(1), DeliveryNumber(.max)),
        ]
        for target in targets {
            _ = try broker.answer(session.id, target, .settle, now: now)
            _ = try broker.answer(session.id, target, .giveBack, now: now)
        }
        guard broker.stats.lateAcknowledgements == before + 6 else {
            throw Violation("late answers are not counted")
        }
        let failure = error {
            _ = try broker.answer(
                session.id,
                targets[0],
                .settle,
                transaction: "never opened",
                now: now
            )
        }
        guard failure?.kind == .badTransaction else { throw Violation("an unknown transaction") }
    }

    // MARK: Transactions

    private func begin(_ session: BrokerModel.ModelSession) throws {
        let name = "t\(Int.random(in: 0..<2, using: &generator))"
        let isFree = session.transactions[name] == nil
        let failure = error { try broker.begin(session.id, name, now: now) }
        guard (failure == nil) == isFree else { throw Violation("BEGIN \(name)") }
        if isFree { session.transactions[name] = [] }
    }

    private func commit(_ session: BrokerModel.ModelSession) throws {
        guard let name = session.transactions.keys.sorted().randomElement(using: &generator),
            let sends = session.transactions.removeValue(forKey: name)
        else { return }
        session.claims[name] = nil
        let fits = canCommit(session, name, sends)
        var completion: Completion?
        let failure = error { completion = try broker.commit(session.id, name, now: now) }
        guard (completion != nil) == fits else {
            throw Violation("commit that fits \(fits): \(failure?.text ?? "taken")")
        }
        for subscription in session.subscriptions {
            let claimed = { (kind: String) in
                subscription.held.indices.filter { subscription.held[$0].claim == kind + name }
            }
            if completion != nil {
                model.finish(subscription, claimed("a"), .settle)
                model.finish(subscription, claimed("r"), .giveBack)
                model.finish(subscription, claimed("x"), .reject)
            } else {
                for index in claimed("a") + claimed("r") + claimed("x") {
                    subscription.held[index].claim = nil
                }
            }
        }
        guard let completion else { return }
        for (name, message) in sends { accept(message, queues(of: name), completion) }
    }

    /// What the broker must find out: settles come first, then each send needs its room.
    private func canCommit(
        _ session: BrokerModel.ModelSession,
        _ name: String,
        _ sends: [(name: String, message: Message)]
    ) -> Bool {
        var added: [String: Int] = [:]
        for send in sends {
            for queue in queues(of: send.name) {
                let settled = session.subscriptions.reduce(0) { sum, subscription in
                    sum
                        + subscription.held.filter {
                            $0.queue === queue && $0.claim == "a" + name
                        }.count
                }
                added[queue.name, default: 0] += 1
                let count = added[queue.name] ?? 0
                guard model.hasRoom(queue, for: count, settled: settled) else { return false }
            }
        }
        return true
    }

    private func abort(_ session: BrokerModel.ModelSession) throws {
        guard let name = session.transactions.keys.sorted().first else { return }
        session.transactions[name] = nil
        session.claims[name] = nil
        for subscription in session.subscriptions {
            for index in subscription.held.indices
            where subscription.held[index].claim?.dropFirst() == name[...] {
                subscription.held[index].claim = nil
            }
        }
        try broker.abort(session.id, name, now: now)
    }

    /// Sends and claims in a transaction, also those whose subscription has ended.
    private func operations(_ session: BrokerModel.ModelSession, _ name: String) -> Int {
        (session.transactions[name]?.count ?? 0) + (session.claims[name] ?? 0)
    }

    // MARK: Turns

    private func write(_ session: BrokerModel.ModelSession) {
        guard !session.unwritten.isEmpty else { return }
        let count = Int.random(in: 1...session.unwritten.count, using: &generator)
        let (bytes, through) = model.written(session, count)
        broker.written(session.id, bytes: bytes, through: through, now: now)
    }

    private func carryOutEffects() throws {
        for effect in broker.takeEffects() {
            switch effect {
            case .deliver(let delivery):
                guard !ended else { throw Violation("delivered after the store's end") }
                try model.delivered(delivery, from: broker.name(of: delivery.destination))
            case .fail(let session, let error):
                throw Violation("\(session) was told to go: \(error)")
            case .holdReading, .deadLettersHeld: break
            case .storeFailed: ended = true
            }
        }
    }

    private func pump(once: Bool) throws {
        repeat {
            let events = store.takeEvents()
            guard !events.isEmpty else { return }
            for event in events {
                if case .durable(let append) = event { model.durable = append }
                broker.handle(event, now: now)
                try carryOutEffects()
            }
        } while !once
    }

    /// Lets the store report all it has, and sees that nobody waits in vain.
    private func settleDown() throws {
        let wasErratic = store.behaviour.isErratic
        store.behaviour.isErratic = false
        try pump(once: false)
        store.behaviour.isErratic = wasErratic
        try model.checkNobodyWaits()
    }

    private func endInFailure() throws {
        store.fail("the disk is gone")
        try pump(once: false)
        guard ended else { throw Violation("a failure of the store must come out") }
        for session in model.sessions.values.sorted(by: { $0.id.value < $1.id.value }) {
            _ = try? answer(session, .settle)
            broker.closeSession(session.id, now: now)
        }
        try carryOutEffects()
    }

    /// Everyone goes, one comes and takes all that is left, each once and in order.
    private func drain() throws {
        for session in model.sessions.values.sorted(by: { $0.id.value < $1.id.value }) {
            disconnect(session)
            try carryOutEffects()
        }
        try connect()
        guard let session = model.sessions.values.first else { return }
        for name in names + [Self.deadName] {
            let id = try broker.subscribe(
                session.id,
                to: name,
                SubscriptionRequest(mode: .individual, prefetch: 3),
                now: now
            )
            session.subscriptions.append(
                BrokerModel.ModelSubscription(
                    id: id,
                    queues: covered(by: name),
                    mode: .individual,
                    prefetch: 3
                )
            )
        }
        try carryOutEffects()
        var rounds = 0
        while model.queues.values.contains(where: { !$0.unsettled.isEmpty })
            || !model.missingLetters.isEmpty
        {
            rounds += 1
            guard rounds < 10_000 else {
                throw Violation("the end is never reached: \(model.leftovers)")
            }
            try passTime()
            model.settleExpired()
            try settleDown()
            while !session.unwritten.isEmpty { write(session) }
            try carryOutEffects()
            try answer(session, .settle)
            try carryOutEffects()
        }
        // What expired unseen goes by a timer.
        for _ in 0..<100 where broker.queueSnapshots().contains(where: { $0.messages > 0 }) {
            try passTime()
            try settleDown()
        }
        for queue in broker.queueSnapshots() where queue.messages > 0 || queue.inFlight > 0 {
            throw Violation("\(queue.name) holds \(queue.messages) when all is settled")
        }
    }

    private func queues(of name: String) -> [BrokerModel.ModelQueue] {
        if name == "/fanout/f" { return fanout.compactMap { model.queues[$0] } }
        return model.queues[name].map { [$0] } ?? []
    }

    private func pickName() -> String { names.randomElement(using: &generator) ?? names[0] }

    /// Deliveries judged so far.
    var deliveries: Int { model.deliveries }
}
