import Base

/// What connections do at the same time: some send, some read.
struct Load: Sendable {
    enum Destination: Sendable {
        case queues
        /// One topic, which all consumers read.
        case topic
        /// One fan-out; its children are the queues.
        case fanout
    }

    enum Body: Sendable {
        /// The time of sending, then one letter over and over.
        case timed
        /// Records as programs write them, thousands of different ones.
        case json
    }

    /// Different JSON bodies of a producer.
    private static let jsonVariants = 4100

    var destination = Destination.queues
    var producers = 0
    /// Messages, or transactions, without their receipt yet, per producer.
    var window = 0
    /// Messages in each transaction; without it, there are none.
    var transactionLength: Int?
    /// Messages a second of all producers together, each due at its time whatever the server does;
    /// without it, each producer keeps its window full.
    var messagesPerSecond: Double?
    var consumers = 0
    /// Of queues, whose messages are acknowledged one by one; a topic needs none.
    var prefetch = 0
    var queues = 1
    /// True when each producer sends to all queues in turn, not to one.
    var isSpread = false
    var bodyBytes = 256
    var body = Body.timed
    /// How many are sent; without it, as many as fit in the time.
    var messages: Int?
    /// Messages in the queues already; the consumers subscribe when the clock starts.
    var waiting = 0
    /// Deliveries that may be owed; bounds the latency of a pipe.
    ///
    /// Of pairs each has its share, or all of them would come to wait for one consumer.
    var undeliveredMax = Int.max

    /// As many consumers as producers, a queue for each pair.
    static func pipe(_ count: Int, bodyBytes: Int, prefetch: Int = 100) -> Load {
        Load(
            producers: count,
            window: 100,
            consumers: count,
            prefetch: prefetch,
            queues: count,
            bodyBytes: bodyBytes,
            undeliveredMax: 1000 * count
        )
    }

    /// The load that reads and acknowledges all that this one left.
    func drain(consumers: Int? = nil, prefetch: Int = 100) -> Load {
        Load(
            consumers: consumers ?? queues,
            prefetch: prefetch,
            queues: queues,
            bodyBytes: bodyBytes,
            waiting: (messages ?? 0) * (destination == .fanout ? queues : 1)
        )
    }

    /// True when it comes to its end by itself.
    var isBounded: Bool { messages != nil || waiting > 0 }

    /// True when each producer has a consumer of its own.
    var isPaired: Bool {
        !isSpread && producers == consumers && producers == queues && destination == .queues
    }

    /// How often a message is delivered.
    var copies: Int { destination == .topic ? consumers : 1 }

    /// True when the consumers can tell how long a message took.
    var tellsDeliveryTime: Bool { consumers > 0 && waiting == 0 && body == .timed }

    /// The queues of a producer, in turn.
    func queues(ofProducer producer: Int) -> [Int] {
        isSpread ? (0..<queues).map { ($0 + producer) % queues } : [producer % queues]
    }

    /// The queues of a consumer, all at once; several consumers may share one.
    func queues(ofConsumer consumer: Int) -> [Int] {
        consumers < queues
            ? Array(stride(from: consumer, to: queues, by: consumers)) : [consumer % queues]
    }

    /// The bodies that a producer sends, in turn.
    func bodies(ofProducer producer: Int) -> [[UInt8]] {
        switch body {
        case .timed: return [SendTime.body(byteCount: bodyBytes)]
        case .json:
            var generator = SeededGenerator(seed: UInt64(producer))
            return (0..<Self.jsonVariants).map { _ in
                JSONBody.make(byteCount: bodyBytes, from: &generator)
            }
        }
    }
}
