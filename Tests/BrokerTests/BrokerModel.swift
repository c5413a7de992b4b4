import Base
import Broker

/// Something the broker did that it must not do.
struct Violation: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A plain model of queues: what was accepted, where it is, who holds it.
///
/// It predicts nothing that depends on when the store answers; it judges what the broker did.
final class BrokerModel {
    enum Place: Equatable {
        case ready
        case inFlight(SessionID, SubscriptionID, DeliveryNumber)
        /// It came back, and waits until then.
        case delayed(UInt64)
        /// Nobody is to get it again.
        case dead
        case settled
    }

    struct Entry {
        let text: String
        let size: Int
        /// What must be confirmed before it may be delivered.
        let append: AppendID
        /// In ms since 1970; `.max` = never.
        var expires = UInt64.max
        var place = Place.ready
        var returns: UInt32 = 0
        /// When time alone made it ready: in which order the broker saw what fell into one step, nobody
        /// can tell.
        var readySince: UInt64 = 0
    }

    final class ModelQueue {
        let name: String
        let isPersistent: Bool
        let messagesMax: Int
        let dropsOldest: Bool
        /// Deliveries that come back before an entry is dead; 0 = no limit.
        var deliveriesMax = 0
        /// In ms; the last one holds from then on.
        var delays: [UInt64] = []
        /// In ms; 0 = for ever.
        var ackTimeout: UInt64 = 0
        var timeToLive: UInt64 = 0
        var deadLettersExpired = false
        /// Dead letters are judged as a set: when they come here nobody can tell.
        let isOfDeadLetters: Bool
        /// In the order in which they were accepted.
        var entries: [Entry] = []
        /// Entries before this are settled.
        var firstUnsettled = 0

        init(
            name: String,
            isPersistent: Bool,
            messagesMax: Int,
            dropsOldest: Bool,
            isOfDeadLetters: Bool = false
        ) {
            self.isOfDeadLetters = isOfDeadLetters
            self.name = name
            self.isPersistent = isPersistent
            self.messagesMax = messagesMax
            self.dropsOldest = dropsOldest
        }

        var unsettled: [Int] {
            (firstUnsettled..<entries.count).filter { entries[$0].place != .settled }
        }
    }

    struct Held {
        let number: DeliveryNumber
        let queue: ModelQueue
        let index: Int
        let id: MessageID
        /// In ms on the monotonic clock; `.max` = never.
        let deadline: UInt64
        /// The open transaction that claimed it.
        var claim: String?
    }

    final class ModelSubscription {
        let id: SubscriptionID
        /// None for a topic, several for a pattern.
        let queues: [ModelQueue]
        let mode: AckMode
        let prefetch: Int?
        var held: [Held] = []

        init(id: SubscriptionID, queues: [ModelQueue], mode: AckMode, prefetch: Int?) {
            self.id = id
            self.queues = queues
            self.mode = mode
            self.prefetch = prefetch
        }
    }

    final class ModelSession {
        let id: SessionID
        var subscriptions: [ModelSubscription] = []
        var unwritten: [Delivery] = []
        /// Texts of each open transaction's sends, with their destinations.
        var transactions: [String: [(name: String, message: Message)]] = [:]
        /// Claims made for each open transaction.
        var claims: [String: Int] = [:]
        var lastTopicSequence: [SubscriptionID: EntrySequence] = [:]

        init(id: SessionID) { self.id = id }

        var unwrittenBytes: Int { unwritten.reduce(0) { $0 + $1.message.footprint } }

        var sharedInFlight: Int {
            subscriptions.filter { $0.mode != .auto && $0.prefetch == nil }
                .reduce(0) { $0 + $1.held.count }
        }

        func subscription(_ id: SubscriptionID) -> ModelSubscription? {
            subscriptions.first { $0.id == id }
        }
    }

    var queues: [String: ModelQueue] = [:]
    var sessions: [SessionID: ModelSession] = [:]
    /// Confirmed appends; with a store that is durable at once, everything.
    var durable = AppendID.none
    let sharedCredit: Int
    let unwrittenMax: Int
    private(set) var deliveries = 0
    /// In ms, of both clocks.
    var time: UInt64 = 0
    /// Entries that are to become dead letters and were not delivered as such yet: their texts.
    private(set) var expectedLetters: [String: Int] = [:]
    /// Entries that may become dead letters, for they may expire before or after they are delivered.
    private(set) var timeouts = 0

    init(sharedCredit: Int, unwrittenMax: Int) {
        self.sharedCredit = sharedCredit
        self.unwrittenMax = unwrittenMax
    }

    // MARK: What the client did

    func accepted(
        _ message: Message,
        in queue: ModelQueue,
        append: AppendID
    ) {
        var entry = Entry(
            text: message.text,
            size: message.byteCount,
            append: queue.isPersistent ? append : .none
        )
        if message.expires > 0 { entry.expires = message.expires }
        if queue.timeToLive > 0 { entry.expires = min(entry.expires, time + queue.timeToLive) }
        queue.entries.append(entry)
        guard queue.dropsOldest else { return }
        // Memory queues only: there the drop happens at once.
        var unsettled = queue.unsettled
        while unsettled.count > queue.messagesMax,
            let oldest = unsettled.firstIndex(where: { queue.entries[$0].place == .ready })
        {
            queue.entries[unsettled.remove(at: oldest)].place = .settled
        }
    }

    /// True if a queue can take `count` more messages.
    func hasRoom(_ queue: ModelQueue, for count: Int, settled: Int = 0) -> Bool {
        guard queue.messagesMax > 0 else { return true }
        let unsettled = queue.unsettled
        if queue.dropsOldest {
            let inFlight = unsettled.filter { queue.entries[$0].place != .ready }.count
            return inFlight + 1 <= queue.messagesMax
        }
        return unsettled.count - settled + count <= queue.messagesMax
    }

    /// What an answer to one delivery reaches: indices in `held`.
    func reach(_ subscription: ModelSubscription, _ number: DeliveryNumber) -> [Int] {
        guard subscription.mode != .auto,
            let index = subscription.held.firstIndex(where: { $0.number == number }),
            subscription.held[index].claim == nil
        else { return [] }
        guard subscription.mode == .cumulative else { return [index] }
        return (0...index).filter { subscription.held[$0].claim == nil }
    }

    func finish(_ subscription: ModelSubscription, _ indices: [Int], _ answer: Answer) {
        for index in indices.reversed() {
            let held = subscription.held.remove(at: index)
            if answer == .settle {
                settle(held)
            } else {
                giveBack(held, isRejected: answer == .reject)
            }
        }
    }

    /// What time alone brings, once the broker had its tick.
    func passTime() {
        for queue in queues.values {
            for index in queue.firstUnsettled..<queue.entries.count {
                if case .delayed(let due) = queue.entries[index].place, due <= time {
                    queue.entries[index].place = .ready
                    queue.entries[index].readySince = time
                }
            }
        }
        for session in sessions.values {
            for subscription in session.subscriptions {
                let overdue = subscription.held.indices.filter {
                    subscription.held[$0].deadline <= time && subscription.held[$0].claim == nil
                }
                timeouts += overdue.count
                for index in overdue {
                    let held = subscription.held[index]
                    held.queue.entries[held.index].readySince = time
                }
                finish(subscription, overdue, .giveBack)
            }
        }
    }

    /// Notes that what has expired and nobody holds is gone.
    func settleExpired() {
        for queue in queues.values {
            for index in queue.firstUnsettled..<queue.entries.count
            where queue.entries[index].expires <= time {
                switch queue.entries[index].place {
                case .ready, .delayed:
                    queue.entries[index].place = .settled
                    if queue.deadLettersExpired { expect(queue.entries[index].text) }
                case .inFlight, .dead, .settled: break
                }
            }
        }
    }

    private func expect(_ text: String) { expectedLetters[text, default: 0] += 1 }

    func endSubscription(_ session: ModelSession, _ subscription: ModelSubscription) {
        for held in subscription.held { giveBack(held) }
        session.subscriptions.removeAll { $0 === subscription }
    }

    func written(_ session: ModelSession, _ count: Int) -> (bytes: Int, through: DeliveryNumber?) {
        let done = session.unwritten.prefix(count)
        session.unwritten.removeFirst(count)
        let through = done.compactMap(\.number).max()
        for subscription in session.subscriptions where subscription.mode == .auto {
            guard let through else { break }
            for held in subscription.held where held.number <= through { settle(held) }
            subscription.held.removeAll { $0.number <= through }
        }
        return (done.reduce(0) { $0 + $1.message.footprint }, through)
    }

    private func settle(_ held: Held) {
        held.queue.entries[held.index].place = .settled
        while held.queue.firstUnsettled < held.queue.entries.count,
            held.queue.entries[held.queue.firstUnsettled].place == .settled
        {
            held.queue.firstUnsettled += 1
        }
    }

    private func giveBack(_ held: Held, isRejected: Bool = false) {
        let queue = held.queue
        queue.entries[held.index].returns += 1
        let returns = Int(queue.entries[held.index].returns)
        let isDead = queue.deliveriesMax > 0 && returns >= queue.deliveriesMax
        if isRejected && queue.isOfDeadLetters {
            queue.entries[held.index].place = .settled
        } else if isRejected || isDead {
            queue.entries[held.index].place = .dead
            expect(queue.entries[held.index].text)
        } else if let last = queue.delays.last {
            let delay = returns <= queue.delays.count ? queue.delays[returns - 1] : last
            queue.entries[held.index].place = .delayed(time + delay)
        } else {
            queue.entries[held.index].place = .ready
        }
    }

    // MARK: What the broker did

    func delivered(_ delivery: Delivery, from name: String) throws {
        deliveries += 1
        guard let session = sessions[delivery.session],
            let subscription = session.subscription(delivery.subscription)
        else { throw Violation("delivered to nobody: \(delivery)") }
        guard session.unwrittenBytes < unwrittenMax else {
            throw Violation("delivered past the limit of unwritten bytes: \(delivery)")
        }
        defer { session.unwritten.append(delivery) }
        if subscription.queues.isEmpty {
            return try deliveredTopic(delivery, session, subscription)
        }
        guard let queue = subscription.queues.first(where: { $0.name == name }),
            let number = delivery.number,
            delivery.settlesWhenWritten == (subscription.mode == .auto)
        else { throw Violation("delivered something else: \(delivery)") }
        try checkCredit(session, subscription)
        // Its own place: the oldest that is ready and durable, and no other.
        if queue.isOfDeadLetters { try arrive(delivery, in: queue) }
        let next = (queue.firstUnsettled..<queue.entries.count).first { index in
            let entry = queue.entries[index]
            let mayBePassed = queue.isOfDeadLetters || entry.readySince == time
            return entry.place == .ready && entry.expires > time
                && (!mayBePassed || entry.text == delivery.message.text)
        }
        guard let next, queue.entries[next].text == delivery.message.text else {
            let expected = next.map { queue.entries[$0].text } ?? "nothing"
            throw Violation(
                "\(name): delivered \(delivery.message.text), the oldest ready is \(expected)"
                    + " at \(time): \(leftovers)"
            )
        }
        guard queue.entries[next].append <= durable else {
            throw Violation("\(name): \(delivery.message.text) was delivered before it was durable")
        }
        guard queue.entries[next].returns == delivery.redeliveries else {
            throw Violation(
                "\(name): \(delivery.message.text) came back \(queue.entries[next].returns) times, "
                    + "delivered as \(delivery.redeliveries)"
            )
        }
        queue.entries[next].place = .inFlight(session.id, subscription.id, number)
        if let last = subscription.held.last, last.number >= number {
            throw Violation("delivery numbers must rise: \(delivery)")
        }
        subscription.held.append(
            Held(
                number: number,
                queue: queue,
                index: next,
                id: delivery.id,
                deadline: queue.ackTimeout == 0 || subscription.mode == .auto
                    ? .max : time + queue.ackTimeout
            )
        )
    }

    /// A dead letter shows itself when it is delivered first.
    private func arrive(_ delivery: Delivery, in queue: ModelQueue) throws {
        guard delivery.redeliveries == 0 else { return }
        settleExpired()
        let text = delivery.message.text
        guard let count = expectedLetters[text], count > 0 else {
            throw Violation("\(text) is a dead letter, and nothing killed it")
        }
        expectedLetters[text] = count - 1
        queue.entries.append(Entry(text: text, size: delivery.message.byteCount, append: .none))
        for source in queues.values where !source.isOfDeadLetters {
            let dead = source.entries.firstIndex { $0.text == text && $0.place == .dead }
            if let dead {
                source.entries[dead].place = .settled
                break
            }
        }
    }

    /// What is not settled, for messages.
    var leftovers: String {
        queues.values.filter { !$0.unsettled.isEmpty }.map { queue in
            "\(queue.name): "
                + queue.unsettled.prefix(6).map { "\(queue.entries[$0])" }.joined(separator: ", ")
        }.joined(separator: "; ") + " letters: \(missingLetters)"
    }

    /// Dead letters that were never seen.
    var missingLetters: [String] { expectedLetters.filter { $0.value > 0 }.map(\.key).sorted() }

    private func checkCredit(_ session: ModelSession, _ subscription: ModelSubscription) throws {
        if subscription.mode == .auto { return }
        let isFree =
            subscription.prefetch.map { subscription.held.count < $0 }
            ?? (session.sharedInFlight < sharedCredit)
        if !isFree { throw Violation("delivered past the credit of \(subscription.id)") }
    }

    private func deliveredTopic(
        _ delivery: Delivery,
        _ session: ModelSession,
        _ subscription: ModelSubscription
    ) throws {
        guard delivery.number == nil, !delivery.settlesWhenWritten else {
            throw Violation("topics owe nothing: \(delivery)")
        }
        let last = session.lastTopicSequence.updateValue(
            delivery.id.sequence,
            forKey: subscription.id
        )
        if let last, last >= delivery.id.sequence {
            throw Violation("a topic's message came twice or late: \(delivery)")
        }
    }

    /// When everything has been reported: nobody who could take waits for what could be had.
    func checkNobodyWaits() throws {
        for session in sessions.values where session.unwrittenBytes < unwrittenMax {
            for subscription in session.subscriptions {
                guard (try? checkCredit(session, subscription)) != nil else { continue }
                for queue in subscription.queues {
                    let waiting = queue.unsettled.first {
                        queue.entries[$0].place == .ready && queue.entries[$0].append <= durable
                            && queue.entries[$0].expires > time
                    }
                    guard let waiting else { continue }
                    throw Violation(
                        "\(queue.name): \(queue.entries[waiting].text) waits for "
                            + "\(subscription.id) of \(session.id), which is free"
                    )
                }
            }
        }
    }
}
