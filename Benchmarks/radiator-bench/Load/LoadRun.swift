import NIOCore

/// What went wrong with a load, in words for the terminal.
struct LoadError: Error, CustomStringConvertible {
    let description: String
}

/// How far one connection of a load has come.
enum LoadPhase: Sendable {
    case opening, ready, running, done
}

/// One connection's part in a load: bytes in, bytes out, no sockets.
protocol LoadRole {
    var phase: LoadPhase { get }
    var isConsumer: Bool { get }

    /// Writes what a new connection begins with.
    mutating func open(into out: inout ByteBuffer)

    /// Begins the measured work.
    mutating func start(now: UInt64, into out: inout ByteBuffer)

    /// Takes whole replies from `bytes` and answers them; returns how many bytes it used.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int

    /// Sends what may be sent now, for something outside the connection has changed.
    mutating func refill(now: UInt64, into out: inout ByteBuffer)

    /// Consumers: everything was delivered; confirm that it is settled.
    mutating func finish(into out: inout ByteBuffer)
}

/// A connection as its run sees it.
protocol LoadControl: AnyObject {
    var isConsumer: Bool { get }
    func start()
    func refill()
    func finish()
}

/// One load under way: what its connections share.
///
/// Confinement: load loop.
final class LoadRun {
    let load: Load
    /// Messages; of a topic each delivery counts.
    private(set) var sent = 0
    private(set) var receipted = 0
    private(set) var delivered = 0
    private(set) var receipts = LatencyHistogram()
    private(set) var deliveries = LatencyHistogram()
    private(set) var isStopping = false

    private let sentMax: Int
    private let undeliveredMax: Int
    /// Of each pair what was sent and not delivered.
    private var owed: [Int]
    private let owedMax: Int
    private let nanosecondsPerMessage: Double?
    private let tellsDeliveryTime: Bool
    private var startedAt: UInt64 = 0
    private var connections: [any LoadControl] = []
    private var readyLeft: Int
    private var producersLeft: Int
    private var consumersLeft: Int
    private var isFinished = false
    private let ready: EventLoopPromise<Void>
    private let done: EventLoopPromise<Void>

    init(load: Load, ready: EventLoopPromise<Void>, done: EventLoopPromise<Void>) {
        self.load = load
        self.ready = ready
        self.done = done
        sentMax = load.messages ?? .max
        undeliveredMax = load.undeliveredMax
        owed = [Int](repeating: 0, count: load.isPaired ? load.producers : 0)
        owedMax = load.undeliveredMax / max(1, load.producers)
        nanosecondsPerMessage = load.messagesPerSecond.map { 1e9 / $0 }
        tellsDeliveryTime = load.tellsDeliveryTime
        producersLeft = load.producers
        consumersLeft = load.consumers
        readyLeft = producersLeft + consumersLeft
    }

    func add(_ connection: any LoadControl) {
        connections.append(connection)
    }

    func start() {
        startedAt = NIODeadline.now().uptimeNanoseconds
        for connection in connections { connection.start() }
    }

    /// Forgets how long things took so far: the clock starts now.
    func resetLatencies() {
        receipts = LatencyHistogram()
        deliveries = LatencyHistogram()
    }

    /// No more messages; what is under way comes to its end.
    func stop() {
        isStopping = true
        refillProducers()
    }

    func maySend(_ producer: Int) -> Bool {
        guard !isStopping, sent < sentMax else { return false }
        if !owed.isEmpty { return owed[producer] < owedMax }
        return sent * load.copies - delivered < undeliveredMax
    }

    /// True when a producer that waits for nothing has nothing left to do.
    var hasSentAll: Bool { isStopping || sent >= sentMax }

    /// What the load is about: deliveries where somebody reads, receipts elsewhere.
    var progress: Int { load.consumers > 0 ? delivered : receipted }

    /// When a producer's message of that number has to go out; nil without a pace.
    func due(producer: Int, number: Int) -> UInt64? {
        nanosecondsPerMessage.map {
            startedAt + UInt64(Double(number * load.producers + producer) * $0)
        }
    }

    /// When the next message of any producer has to go out; nil without a pace, and at the end.
    var nextDue: UInt64? {
        guard load.messagesPerSecond != nil, !isStopping else { return nil }
        return due(producer: sent % load.producers, number: sent / load.producers)
    }

    func countSent(_ messages: Int, by producer: Int) {
        sent += messages
        if !owed.isEmpty { owed[producer] += messages }
    }

    func countReceipted(_ messages: Int, since start: UInt64, now: UInt64) {
        receipted += messages
        receipts.record(nanoseconds: now > start ? now - start : 0)
    }

    func countDelivered(_ body: UnsafeRawBufferPointer, to consumer: Int, now: UInt64) {
        delivered += 1
        if !owed.isEmpty { owed[consumer] -= 1 }
        guard tellsDeliveryTime else { return }
        let start = SendTime.read(body)
        deliveries.record(nanoseconds: now > start ? now - start : 0)
    }

    func refillProducers() {
        for connection in connections where !connection.isConsumer { connection.refill() }
    }

    /// Ends the consumers once all that was sent has arrived.
    func finishIfDelivered() {
        guard producersLeft == 0, delivered == sent * load.copies + load.waiting, !isFinished
        else { return }
        isFinished = true
        for connection in connections where connection.isConsumer { connection.finish() }
    }

    func connectionChanged(to phase: LoadPhase, isConsumer: Bool) {
        switch phase {
        case .opening, .running:
            break
        case .ready:
            readyLeft -= 1
            if readyLeft == 0 { ready.succeed() }
        case .done:
            if isConsumer { consumersLeft -= 1 } else { producersLeft -= 1 }
            if producersLeft == 0 && consumersLeft == 0 { done.succeed() }
            finishIfDelivered()
        }
    }

    func fail(_ error: any Error) {
        ready.fail(error)
        done.fail(error)
    }
}
