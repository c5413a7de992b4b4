import Base

/// What the core knows of one client: its subscriptions, credit and transactions.
///
/// Confinement: broker loop.
final class Session {
    let id: SessionID
    /// Who it is and what it may do.
    let identity: Identity
    /// The client's heart-beats are watched, so that it is alive as long as the session is.
    let hasHeartBeats: Bool
    /// In the order of their ids, which rise.
    private(set) var subscriptions: [Subscription] = []
    /// Those of all subscriptions, in the order of their numbers, which rise.
    private(set) var feeds: [Feed] = []
    /// Subscriptions that do not depend on the shared credit.
    private(set) var independentCount = 0
    /// Subscriptions that are settled by being written.
    private(set) var autoCount = 0
    var transactions: [Transaction] = []
    /// Its temporary queues, by the names that the client gave them.
    var temporaries: [String: TemporaryQueue] = [:]

    /// Set when the client has been told to go; nothing more is delivered.
    var isFailed = false
    private var lastSubscription: UInt64 = 0
    private var lastDelivery: UInt64 = 0
    private var lastFeed: UInt64 = 0
    /// The number of the feed that brought the last delivery from a queue.
    var lastServed: UInt64 = 0

    /// Deliveries in flight over all subscriptions that share the session's credit.
    private(set) var sharedInFlight = 0
    private let sharedCreditMax: Int
    /// When the shared credit was last used up, on the scale of waiting tickets.
    var exhaustedAt: UInt64 = 0

    /// Footprint of the messages delivered and not yet reported as written.
    private(set) var unwrittenBytes = 0
    private let unwrittenBytesMax: Int
    /// When the unwritten bytes last reached their limit, on the scale of waiting tickets.
    var filledAt: UInt64 = 0

    init(
        id: SessionID,
        identity: Identity,
        hasHeartBeats: Bool,
        sharedCreditMax: Int,
        unwrittenBytesMax: Int
    ) {
        self.id = id
        self.identity = identity
        self.hasHeartBeats = hasHeartBeats
        self.sharedCreditMax = sharedCreditMax
        self.unwrittenBytesMax = unwrittenBytesMax
    }

    // MARK: Credit

    var hasSharedCredit: Bool { sharedInFlight < sharedCreditMax }

    /// False while the socket has enough to write, and for ever once the session failed.
    var takesDeliveries: Bool { unwrittenBytes < unwrittenBytesMax && !isFailed }

    func useSharedCredit() {
        invariant(hasSharedCredit, "a delivery needs credit")
        sharedInFlight += 1
    }

    func regainSharedCredit() {
        invariant(sharedInFlight > 0, "no more is settled than was delivered")
        sharedInFlight -= 1
    }

    func addUnwritten(_ bytes: Int) {
        unwrittenBytes += bytes
    }

    func removeUnwritten(_ bytes: Int) {
        invariant(bytes >= 0 && bytes <= unwrittenBytes, "no more is written than was delivered")
        unwrittenBytes -= bytes
    }

    func nextDelivery() -> DeliveryNumber {
        lastDelivery += 1
        return DeliveryNumber(lastDelivery)
    }

    // MARK: Subscriptions

    func nextSubscription() -> SubscriptionID {
        lastSubscription += 1
        return SubscriptionID(lastSubscription)
    }

    func add(_ subscription: Subscription) {
        invariant(
            subscriptions.last.map { $0.id < subscription.id } ?? true,
            "subscription ids rise"
        )
        subscriptions.append(subscription)
        if subscription.mode == .auto { autoCount += 1 }
        if !subscription.usesSharedCredit { independentCount += 1 }
    }

    /// Gives a subscription a place at a queue or topic.
    func addFeed(to subscription: Subscription, _ source: Feed.Source) -> Feed {
        lastFeed += 1
        let feed = Feed(number: lastFeed, subscription: subscription, source: source)
        subscription.add(feed)
        feeds.append(feed)
        return feed
    }

    func remove(_ feed: Feed) {
        feed.subscription.remove(feed)
        let index = firstFeed { $0 >= feed.number }
        if index < feeds.count, feeds[index] === feed { feeds.remove(at: index) }
    }

    func remove(_ subscription: Subscription) {
        guard let index = index(of: subscription.id) else { return }
        subscriptions.remove(at: index)
        if subscription.mode == .auto { autoCount -= 1 }
        if !subscription.usesSharedCredit { independentCount -= 1 }
        if subscription.feeds.count == 1 {
            for feed in subscription.feeds { remove(feed) }
        } else {
            feeds.removeAll { $0.subscription === subscription }
        }
    }

    func removeAll() -> [Subscription] {
        defer {
            subscriptions = []
            feeds = []
            independentCount = 0
            autoCount = 0
        }
        return subscriptions
    }

    func subscription(_ id: SubscriptionID) -> Subscription? {
        index(of: id).map { subscriptions[$0] }
    }

    /// Index of the first feed after the one served last, from the front again past the end.
    var nextInTurn: Int {
        let index = firstFeed { $0 > lastServed }
        return index < feeds.count ? index : 0
    }

    private func index(of id: SubscriptionID) -> Int? {
        // Without one that ended it stands where its number says.
        let place = Int(truncatingIfNeeded: id.value &- 1)
        if subscriptions.indices.contains(place), subscriptions[place].id == id { return place }
        let index = Self.first(subscriptions.count) { subscriptions[$0].id >= id }
        guard index < subscriptions.count, subscriptions[index].id == id else { return nil }
        return index
    }

    private func firstFeed(where reached: (UInt64) -> Bool) -> Int {
        Self.first(feeds.count) { reached(feeds[$0].number) }
    }

    private static func first(_ count: Int, where reached: (Int) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if reached(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: Transactions

    func transaction(_ name: String) -> Transaction? {
        // By bytes: String's own comparison takes some different names as equal.
        transactions.first { $0.name.utf8.elementsEqual(name.utf8) }
    }

    /// Forgets a transaction and lets go of what it holds.
    func drop(_ transaction: Transaction) {
        transactions.removeAll { $0 === transaction }
        for claim in transaction.claims { claim.subscription.inFlight.unhold(claim.number) }
    }
}

/// All sessions that are open, in slots that are used again under a new generation.
struct SessionTable {
    private var slots: [Session?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []
    private(set) var count = 0

    /// The id that `insert` must be given next.
    var nextID: SessionID {
        let slot = free.last ?? slots.count
        let generation = slot < generations.count ? generations[slot] : 0
        return SessionID(slot: slot, generation: generation)
    }

    mutating func insert(_ session: Session) {
        invariant(session.id == nextID, "a session gets the id that was announced")
        if let slot = free.popLast() {
            slots[slot] = session
        } else {
            slots.append(session)
            generations.append(0)
        }
        count += 1
    }

    func find(_ id: SessionID) -> Session? {
        let slot = id.slot
        guard slot < slots.count, let session = slots[slot], session.id == id else { return nil }
        return session
    }

    mutating func remove(_ session: Session) {
        let slot = session.id.slot
        slots[slot] = nil
        generations[slot] &+= 1
        free.append(slot)
        count -= 1
    }

    func forEach(_ body: (Session) -> Void) {
        for case .some(let session) in slots { body(session) }
    }
}
