import Broker
import NIOCore

/// One subscription as its client knows it.
struct StompSubscription {
    let id: SubscriptionID
    /// What names it in the client's frames.
    let key: SubscriptionKey
    let destination: String
    /// The client answers its messages, and so each carries an ack id, also where no answer is due.
    let isAnswered: Bool
    /// The `id` header as received; nil if there was none.
    let clientID: ByteBuffer?
    /// The broker made it, for replies.
    var isAutomatic = false
    /// The beginning of its MESSAGE frames, made for `prefixDestination`.
    var prefix: [UInt8] = []
    var prefixDestination: DestinationID?
}

/// Names a subscription within its connection: its `id`, or in STOMP 1.0 without one the destination.
///
/// By bytes, for String takes some different texts as equal.
enum SubscriptionKey: Hashable {
    case id([UInt8])
    case destination(String)
}

/// The subscriptions of one connection.
struct SubscriptionTable {
    /// By rising id.
    private(set) var entries: [StompSubscription] = []
    private var ids: [SubscriptionKey: SubscriptionID] = [:]
    private var last = 0

    func id(of key: SubscriptionKey) -> SubscriptionID? { ids[key] }

    func isAutomatic(_ key: SubscriptionKey) -> Bool {
        ids[key] != nil && entries.contains { $0.key == key && $0.isAutomatic }
    }

    /// The oldest subscription to a destination.
    func key(ofDestination destination: String) -> SubscriptionKey? {
        entries.first { $0.destination == destination }?.key
    }

    mutating func add(_ entry: StompSubscription) {
        entries.append(entry)
        ids[entry.key] = entry.id
    }

    mutating func remove(key: SubscriptionKey) -> SubscriptionID? {
        guard let id = ids.removeValue(forKey: key), let index = index(of: id) else { return nil }
        entries.remove(at: index)
        return id
    }

    /// Where a subscription stands now; nil if it has ended.
    mutating func index(of id: SubscriptionID) -> Int? {
        if last < entries.count, entries[last].id.value == id.value { return last }
        // Without one that ended it stands where its number says.
        let place = Int(truncatingIfNeeded: id.value &- 1)
        if entries.indices.contains(place), entries[place].id.value == id.value {
            last = place
            return place
        }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].id < id { low = middle + 1 } else { high = middle }
        }
        guard low < entries.count, entries[low].id == id else { return nil }
        last = low
        return low
    }

    mutating func setPrefix(_ prefix: [UInt8], for destination: DestinationID, at index: Int) {
        entries[index].prefix = prefix
        entries[index].prefixDestination = destination
    }
}
