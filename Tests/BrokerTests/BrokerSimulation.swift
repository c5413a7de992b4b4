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
    private let names = ["/queue/p1", "/queue/p2", "/queue/p3", "/queue/m1", "/queue/m2"]

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
        settings.topicDefaults.bufferBytes = 700
        model = BrokerModel(
            sharedCredit: settings.prefetch,
            unwrittenMax: settings.limits.unwrittenBytes
        )
        for name in names {
            var policy = BrokerSettings.QueuePolicy()
            let isMemory = name.hasPrefix("/queue/m")
            policy.storage = isMemory ? .memory : .persistent
            if generator.oneIn(2) { policy.messagesMax = .random(in: 1...12, using: &generator) }
            if isMemory, policy.messagesMax > 0, generator.oneIn(2) {
                policy.overflow = .dropOldest
            }
            settings.queues.append(.init(pattern: name, isPattern: false, policy: policy))
            model.queues[name] = BrokerModel.ModelQueue(
                name: name,
                isPersistent: !isMemory,
                messagesMax: policy.messagesMax,
                dropsOldest: policy.overflow == .dropOldest
            )
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

    private var now: Instant {
        Instant(
            monotonic: MonotonicTime(nanoseconds: time * 1_000_000),
            wall: WallTime(milliseconds: time)
        )
    }

    /// Runs to the end; throws a `Violation` at the first thing that is wrong.
    func run(steps: Int) throws {
        for step in 0..<steps {
            time += 1
            try act()
            try carryOutEffects()
            if generator.oneIn(2) { try pump(once: true) }
            if step % 64 == 63 { try settleDown() }
        }
        if generator.oneIn(8) { return try endInFailure() }
        try drain()
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
        case 18..<29: try answer(session, isReturn: generator.oneIn(4))
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
        let name = generator.oneIn(6) ? "/topic/t" : pickName()
        let mode =
            [AckMode.individual, .cumulative, .auto].randomElement(using: &generator) ?? .auto
        let prefetch = generator.oneIn(2) ? Int.random(in: 1...4, using: &generator) : nil
        let destination = try broker.destination(name, for: .subscribe, now: now)
        let id = try broker.subscribe(
            session.id,
            to: destination,
            mode: mode,
            prefetch: prefetch,
            now: now
        )
        session.subscriptions.append(
            BrokerModel.ModelSubscription(
                id: id,
                queue: model.queues[name],
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
        let message = Message(text: "\(nextText) \(padding)")
        let destination = try broker.destination(name, for: .send, now: now)
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
                session.transactions[open]?.append((name, message.text, message.byteCount))
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
            model.accepted(message.text, size: message.byteCount, in: queue, append: append)
        }
    }

    private func answer(_ session: BrokerModel.ModelSession, isReturn: Bool) throws {
        let all = session.subscriptions.flatMap { subscription in
            subscription.held.map { (subscription, $0) }
        }
        guard let (subscription, held) = all.randomElement(using: &generator) else { return }
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
            _ =
                isReturn
                ? try broker.negativeAcknowledge(session.id, target, transaction: open, now: now)
                : try broker.acknowledge(session.id, target, transaction: open, now: now)
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
            for index in reach { subscription.held[index].claim = (isReturn ? "r" : "a") + open }
        } else {
            model.finish(subscription, reach, isReturn: isReturn)
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
            _ = try broker.acknowledge(session.id, target, now: now)
            _ = try broker.negativeAcknowledge(session.id, target, now: now)
        }
        guard broker.stats.lateAcknowledgements == before + 6 else {
            throw Violation("late answers are not counted")
        }
        let failure = error {
            _ = try broker.acknowledge(
                session.id,
                targets[0],
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
                model.finish(subscription, claimed("a"), isReturn: false)
                model.finish(subscription, claimed("r"), isReturn: true)
            } else {
                for index in claimed("a") + claimed("r") { subscription.held[index].claim = nil }
            }
        }
        guard let completion else { return }
        for (name, text, _) in sends {
            accept(Message(text: text), queues(of: name), completion)
        }
    }

    /// What the broker must find out: settles come first, then each send needs its room.
    private func canCommit(
        _ session: BrokerModel.ModelSession,
        _ name: String,
        _ sends: [(name: String, text: String, size: Int)]
    ) -> Bool {
        var added: [String: Int] = [:]
        for send in sends {
            for queue in queues(of: send.name) {
                let settled = session.subscriptions.filter { $0.queue === queue }
                    .reduce(0) { $0 + $1.held.filter { $0.claim == "a" + name }.count }
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
            case .holdReading: break
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
            _ = try? answer(session, isReturn: false)
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
        for name in names {
            let destination = try broker.destination(name, for: .subscribe, now: now)
            let id = try broker.subscribe(
                session.id,
                to: destination,
                mode: .individual,
                prefetch: 3,
                now: now
            )
            session.subscriptions.append(
                BrokerModel.ModelSubscription(
                    id: id,
                    queue: model.queues[name],
                    mode: .individual,
                    prefetch: 3
                )
            )
        }
        try carryOutEffects()
        var rounds = 0
        while model.queues.values.contains(where: { !$0.unsettled.isEmpty }) {
            rounds += 1
            guard rounds < 10_000 else { throw Violation("the end is never reached") }
            try settleDown()
            while !session.unwritten.isEmpty { write(session) }
            try carryOutEffects()
            try answer(session, isReturn: false)
            try carryOutEffects()
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
