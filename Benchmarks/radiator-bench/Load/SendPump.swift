import NIOCore

/// The pieces that a producer's messages are put together from, made before the clock starts.
struct FrameParts {
    /// Ahead of a turn of messages for one queue; by queue.
    var turns: [ByteBuffer]
    /// In order: what a place in the window begins with, and for each message of it what names the
    /// queue, the place, and the rest with the body; then what the place ends with.
    var openings: [ByteBuffer]
    var heads: [ByteBuffer]
    var labels: [ByteBuffer]
    var tails: [ByteBuffer]
    var closings: [ByteBuffer]
    /// Where the body begins in a tail.
    var bodyOffset: Int
}

/// What a producer sends and when: keeps its window full, or its pace, as long as the run lets it.
struct SendPump {
    private let run: LoadRun
    private let producer: Int
    private let parts: FrameParts
    /// That many places of the window in a row go to one queue.
    private let turnLength: Int
    private let messagesPerPlace: Int
    private let hasSendTime: Bool
    private var sentInTurn = 0
    private var queue = 0
    private var tail = 0
    private var sentPlaces = 0
    private var sentAt: [UInt64]
    private var free: [Int]

    init(run: LoadRun, producer: Int, parts: FrameParts, turnLength: Int = 1) {
        self.run = run
        self.producer = producer
        self.parts = parts
        self.turnLength = turnLength
        messagesPerPlace = run.load.transactionLength ?? 1
        hasSendTime = run.load.tellsDeliveryTime
        sentAt = [UInt64](repeating: 0, count: run.load.window)
        free = Array((0..<run.load.window).reversed())
    }

    /// Nothing left to send, and no receipt to wait for.
    var isDone: Bool { run.hasSentAll && free.count == sentAt.count }

    /// Writes the next message, or transaction, if it may be sent now; returns its place in the
    /// window.
    mutating func sendNext(now: UInt64, into out: inout ByteBuffer) -> Int? {
        // Latency counts from when a message was due, not from when its turn came.
        let since = run.due(producer: producer, number: sentPlaces) ?? now
        guard since <= now, run.maySend, let place = free.popLast() else { return nil }
        if sentInTurn == 0 { out.writeImmutableBuffer(parts.turns[queue]) }
        out.writeImmutableBuffer(parts.openings[place])
        for _ in 0..<messagesPerPlace { writeMessage(place, since, into: &out) }
        out.writeImmutableBuffer(parts.closings[place])
        sentInTurn += 1
        if sentInTurn == turnLength {
            sentInTurn = 0
            queue = queue + 1 == parts.turns.count ? 0 : queue + 1
        }
        sentPlaces += 1
        sentAt[place] = since
        run.countSent(messagesPerPlace)
        return place
    }

    /// The receipt for a place in the window has come.
    mutating func receipted(_ place: Int, now: UInt64) throws(LoadError) {
        guard sentAt.indices.contains(place) else {
            throw LoadError(description: "a receipt that nobody asked for")
        }
        run.countReceipted(messagesPerPlace, since: sentAt[place], now: now)
        free.append(place)
    }

    private mutating func writeMessage(_ place: Int, _ since: UInt64, into out: inout ByteBuffer) {
        out.writeImmutableBuffer(parts.heads[queue])
        out.writeImmutableBuffer(parts.labels[place])
        let start = out.writerIndex
        out.writeImmutableBuffer(parts.tails[tail])
        if hasSendTime {
            out.setInteger(since, at: start + parts.bodyOffset, endianness: .little)
        }
        tail = tail + 1 == parts.tails.count ? 0 : tail + 1
    }
}
