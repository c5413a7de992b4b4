import Base
import Broker
import DequeModule
import LogStore
import NIOCore

/// A message's whole way through broker and store: sent, durable, delivered, acknowledged, durable.
enum BrokerOperations {
    static let all = [
        Operation(name: "cycle-1") { try cycle($0, turns: 200, messagesPerTurn: 1) },
        Operation(name: "cycle-100") { try cycle($0, turns: 40, messagesPerTurn: 100) },
        Operation(name: "cycle-100-queues") {
            try cycle($0, turns: 40, messagesPerTurn: 100, queues: 100)
        },
    ]

    private static func cycle(
        _ directory: String,
        turns: Int,
        messagesPerTurn count: Int,
        queues: Int = 1
    ) throws -> Operation.Work {
        let broker = try DirectBroker(directory, queues: queues)
        for _ in 0..<10 { try broker.cycle(count) }
        return {
            for _ in 0..<turns { try broker.cycle(count) }
            return turns * count
        }
    }
}

/// A broker on a store of its own, with a sender to some queues in turn and a consumer of all.
private final class DirectBroker {
    private let store: DirectStore
    private let messages: LogMessageStore
    private let broker: Broker
    private let sender: SessionID
    private let consumer: SessionID
    private let names: [[UInt8]]
    /// In one piece of memory, as it is received.
    private let message: Message = {
        var received = ByteBuffer(bytes: Sample.headers)
        received.writeBytes(Sample.body)
        let headers = received.readSlice(length: Sample.headers.count)
        return Message(headers: headers ?? ByteBuffer(), body: received.slice())
    }()
    // Empty between calls.
    private var notices: [StoreNotice] = []
    private var effects = UniqueDeque<Effect>()
    private var unanswered: [AckTarget] = []

    init(_ directory: String, queues: Int) throws {
        let now = Sample.time
        store = try DirectStore(directory)
        messages = LogMessageStore(store.log)
        broker = try Broker(
            store: messages,
            settings: BrokerSettings(),
            recovered: messages.recovered,
            now: now
        )
        sender = try broker.openSession(now: now)
        consumer = try broker.openSession(now: now)
        names = (0..<queues).map { Array("/queue/orders-\($0)".utf8) }
        for name in names {
            let name = String(decoding: name, as: UTF8.self)
            _ = try broker.destination(name, for: .send, of: sender, now: now)
            _ = try broker.subscribe(
                consumer,
                to: name,
                SubscriptionRequest(mode: .individual, prefetch: 100),
                now: now
            )
        }
        endTurn()
    }

    /// Takes so many messages all the way, in two turns as the server has them.
    func cycle(_ count: Int) throws {
        let now = Sample.time
        for number in 0..<count {
            let name = names[number % names.count]
            guard let destination = broker.knownDestination(name.span.bytes, of: sender) else {
                throw WrongRun("a queue is not there")
            }
            _ = try broker.send(sender, to: destination, message, now: now)
            messages.hasten()
        }
        endTurn()
        guard unanswered.count == count else {
            throw WrongRun("\(unanswered.count) of \(count) messages were delivered")
        }
        for target in unanswered {
            _ = try broker.answer(consumer, target, .settle, now: now)
        }
        messages.hasten()
        unanswered.removeAll(keepingCapacity: true)
        endTurn()
    }

    /// Makes durable what was appended, and takes what is delivered then as written to the socket.
    private func endTurn() {
        store.endTurn()
        var happened: [StoreNotice] = []
        swap(&happened, &notices)
        happened = store.log.takeNotices(reusing: consume happened)
        for event in happened.lazy.compactMap(LogMessageStore.event(of:)) {
            broker.handle(event, now: Sample.time)
        }
        happened.empty()
        notices = happened
        broker.takeEffects(into: &effects)
        var bytes = 0
        var last: DeliveryNumber?
        while let effect = effects.popFirst() {
            guard case .deliver(let delivery) = consume effect, let number = delivery.number
            else { continue }
            bytes += delivery.message.footprint
            last = number
            unanswered.append(.delivery(delivery.subscription, number))
        }
        broker.written(
            consumer,
            bytes: bytes,
            through: last,
            now: Sample.time
        )
    }
}
