import NIOCore

/// The pieces that a producer's messages are put together from, made before the clock starts.
struct FrameParts {
    typealias Piece = Range<Int>

    /// Of all pieces, one behind the other: a message is copied from one place.
    private(set) var bytes: [UInt8] = []
    /// Ahead of a turn of messages for one queue; by queue.
    private(set) var turns: [Piece] = []
    /// In order: what a place in the window begins with, and for each message of it what names the
    /// queue, the place, and the rest with the body; then what the place ends with.
    private(set) var openings: [Piece] = []
    private(set) var heads: [Piece] = []
    private(set) var labels: [Piece] = []
    private(set) var tails: [Piece] = []
    private(set) var closings: [Piece] = []
    /// Where the body begins in a tail.
    private(set) var bodyOffset = 0

    /// A queue's turn and head.
    mutating func addQueue(turn: String = "", head: String = "") {
        turns.append(add(turn.utf8))
        heads.append(add(head.utf8))
    }

    mutating func addPlace(opening: String = "", label: String = "", closing: String = "") {
        openings.append(add(opening.utf8))
        labels.append(add(label.utf8))
        closings.append(add(closing.utf8))
    }

    mutating func addBody(_ body: [UInt8], after start: String, before end: StaticString) {
        bodyOffset = start.utf8.count
        let first = add(start.utf8)
        _ = add(body)
        let last = end.withUTF8Buffer { add($0) }
        tails.append(first.lowerBound..<last.upperBound)
    }

    /// No place with so many messages takes more.
    func placeBytesMax(messages: Int) -> Int {
        func longest(_ pieces: [Piece]) -> Int { pieces.map(\.count).max() ?? 0 }
        return longest(turns) + longest(openings) + longest(closings)
            + messages * (longest(heads) + longest(labels) + longest(tails))
    }

    private mutating func add(_ piece: some Sequence<UInt8>) -> Piece {
        let start = bytes.count
        bytes.append(contentsOf: piece)
        return start..<bytes.count
    }
}

/// What a producer sends and when: keeps its window full, or its pace, as long as the run lets it.
struct SendPump {
    private let run: LoadRun
    private let producer: Int
    private let parts: FrameParts
    /// That many places of the window in a row go to one queue.
    private let turnLength: Int
    private let messagesPerPlace: Int
    private let placeBytesMax: Int
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
        placeBytesMax = parts.placeBytesMax(messages: messagesPerPlace)
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
        guard since <= now, run.maySend(producer), let place = free.popLast() else { return nil }
        write(place, since, into: &out)
        sentInTurn += 1
        if sentInTurn == turnLength {
            sentInTurn = 0
            queue = queue + 1 == parts.heads.count ? 0 : queue + 1
        }
        sentPlaces += 1
        sentAt[place] = since
        run.countSent(messagesPerPlace, by: producer)
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

    /// Once for all pieces: each write into a buffer costs more than copying a message.
    private mutating func write(_ place: Int, _ since: UInt64, into out: inout ByteBuffer) {
        var tail = tail
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: placeBytesMax) { target in
            parts.bytes.withUnsafeBytes { source in
                var copier = PieceCopier(source: source, target: target)
                if sentInTurn == 0 { copier.copy(parts.turns[queue]) }
                copier.copy(parts.openings[place])
                for _ in 0..<messagesPerPlace {
                    copier.copy(parts.heads[queue])
                    copier.copy(parts.labels[place])
                    let body = copier.count + parts.bodyOffset
                    copier.copy(parts.tails[tail])
                    if hasSendTime { SendTime.write(since, to: target, at: body) }
                    tail = tail + 1 == parts.tails.count ? 0 : tail + 1
                }
                copier.copy(parts.closings[place])
                return copier.count
            }
        }
        self.tail = tail
    }
}

private struct PieceCopier {
    let source: UnsafeRawBufferPointer
    let target: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(source: UnsafeRawBufferPointer, target: UnsafeMutableRawBufferPointer) {
        self.source = source
        self.target = target
    }

    mutating func copy(_ piece: FrameParts.Piece) {
        UnsafeMutableRawBufferPointer(rebasing: target[count...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[piece]))
        count += piece.count
    }
}
