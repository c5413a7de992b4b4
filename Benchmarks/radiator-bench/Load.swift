import Base
import NIOCore

/// What connections do at the same time: some send, some read.
struct Load: Sendable {
    enum Body: Sendable {
        /// The time of sending, then one letter over and over.
        case timed
        /// Records as programs write them, thousands of different ones.
        case json
    }

    /// Different JSON bodies for each place in the window; prime, so that places and bodies do not
    /// fall into step.
    private static let jsonVariants = 41

    var producers = 0
    /// Messages without their receipt yet, per producer.
    var window = 0
    /// Each reads a queue of its own and acknowledges message by message.
    var consumers = 0
    var prefetch = 0
    var queues = 1
    /// True when each producer sends to all queues in turn, not to one.
    var isSpread = false
    var bodyBytes: Int
    var body = Body.timed
    /// How many are sent; without it, as many as fit in the time.
    var messages: Int?
    /// Messages in the queues already; the consumers subscribe when the clock starts.
    var waiting = 0
    /// Messages that may be sent and not yet delivered; bounds the latency of a pipe.
    var undeliveredMax = Int.max

    /// As many consumers as producers, a queue for each pair.
    static func pipe(_ count: Int, bodyBytes: Int) -> Load {
        Load(
            producers: count,
            window: 100,
            consumers: count,
            prefetch: 100,
            queues: count,
            bodyBytes: bodyBytes,
            undeliveredMax: 1000 * count
        )
    }

    /// The load that reads and acknowledges all that this one left.
    var drain: Load {
        Load(
            consumers: queues,
            prefetch: 100,
            queues: queues,
            bodyBytes: bodyBytes,
            waiting: messages ?? 0
        )
    }

    /// How many kinds of messages a producer sends in turn.
    var variants: Int {
        switch body {
        case .timed: isSpread ? queues : 1
        case .json: Self.jsonVariants
        }
    }

    /// The number of the queue that gets a variant.
    func queue(ofProducer producer: Int, variant: Int) -> Int {
        (producer + (isSpread ? variant : 0)) % queues
    }

    func makeBody(from generator: inout SeededGenerator) -> [UInt8] {
        switch body {
        case .timed: SendTime.body(byteCount: bodyBytes)
        case .json: JSONBody.make(byteCount: bodyBytes, from: &generator)
        }
    }
}

/// Compressible bodies that are not all the same.
enum JSONBody {
    private static let words = [
        "leave", "at", "the", "back", "door", "please", "ring", "twice", "fragile", "cool", "dry",
        "keep", "upright", "call", "before", "delivery", "signature", "needed", "neighbour", "gift",
    ]

    /// An order of a shop, filled up with a note to exactly `byteCount` bytes.
    static func make(byteCount: Int, from generator: inout SeededGenerator) -> [UInt8] {
        var text =
            #"{"order":\#(Int.random(in: 1_000_000..<10_000_000, using: &generator)),"#
            + #""customer":"\#(String(generator.next(), radix: 16))","#
            + #""placed_at":\#(Int.random(in: 1_700_000_000..<1_800_000_000, using: &generator)),"#
            + #""currency":"EUR","items":["#
        var separator = ""
        while text.utf8.count < byteCount - 200 {
            text += separator + item(from: &generator)
            separator = ","
        }
        text += #"],"note":""#
        while text.utf8.count < byteCount - 2 {
            text += words[Int.random(in: 0..<words.count, using: &generator)] + " "
        }
        return Array(text.utf8.prefix(byteCount - 2)) + Array(#""}"#.utf8)
    }

    private static func item(from generator: inout SeededGenerator) -> String {
        let article = Int.random(in: 10_000..<100_000, using: &generator)
        let cents = Int.random(in: 100..<100_000, using: &generator)
        let quantity = Int.random(in: 1..<10, using: &generator)
        return #"{"article":"A-\#(article)","quantity":\#(quantity),"cents":\#(cents),"#
            + #""gift":\#(generator.oneIn(5))}"#
    }
}

/// What a producer sends and when: keeps its window full as long as the run lets it.
struct SendPump {
    private let run: LoadRun
    /// A frame for each place in the window, once for each variant.
    private let frames: [ByteBuffer]
    private let bodyOffsets: [Int]
    private let hasSendTime: Bool
    private let variants: Int
    private var variant = 0
    /// What goes ahead of a turn, for each variant; a turn is that many messages of one variant.
    private let turnHeads: [ByteBuffer]
    private let turnLength: Int
    private var sentInTurn = 0
    private var sentAt: [UInt64]
    private var free: [Int]

    /// Prepares all frames; `head` makes what comes before the body, `turnHead` what must be said
    /// when a turn of messages for another queue begins.
    init(
        run: LoadRun,
        producer: Int,
        tail: StaticString,
        turnLength: Int = 1,
        turnHead: (_ queue: Int) -> String = { _ in "" },
        head: (_ queue: Int, _ slot: Int) -> String
    ) {
        self.run = run
        let load = run.load
        var generator = SeededGenerator(seed: UInt64(producer))
        var frames: [ByteBuffer] = []
        var bodyOffsets: [Int] = []
        for variant in 0..<load.variants {
            let queue = load.queue(ofProducer: producer, variant: variant)
            for slot in 0..<load.window {
                var frame = ByteBuffer(string: head(queue, slot))
                bodyOffsets.append(frame.readableBytes)
                frame.writeBytes(load.makeBody(from: &generator))
                frame.writeStaticString(tail)
                frames.append(frame)
            }
        }
        self.frames = frames
        self.bodyOffsets = bodyOffsets
        hasSendTime = load.consumers > 0 && load.body == .timed
        variants = load.variants
        turnHeads = (0..<load.variants).map {
            ByteBuffer(string: turnHead(load.queue(ofProducer: producer, variant: $0)))
        }
        self.turnLength = turnLength
        sentAt = [UInt64](repeating: 0, count: load.window)
        free = Array((0..<load.window).reversed())
    }

    /// Nothing left to send, and no receipt to wait for.
    var isDone: Bool { run.hasSentAll && free.count == sentAt.count }

    /// Writes the next message if it may be sent now; returns its place in the window.
    mutating func sendNext(now: UInt64, into out: inout ByteBuffer) -> Int? {
        guard run.maySend, let slot = free.popLast() else { return nil }
        if sentInTurn == 0 { out.writeImmutableBuffer(turnHeads[variant]) }
        let index = variant * sentAt.count + slot
        let start = out.writerIndex
        out.writeImmutableBuffer(frames[index])
        if hasSendTime {
            out.setInteger(now, at: start + bodyOffsets[index], endianness: .little)
        }
        sentInTurn += 1
        if sentInTurn == turnLength {
            sentInTurn = 0
            variant = variant + 1 == variants ? 0 : variant + 1
        }
        sentAt[slot] = now
        run.countSent()
        return slot
    }

    /// The receipt for a place in the window has come.
    mutating func receipted(_ slot: Int, now: UInt64) throws(LoadError) {
        guard sentAt.indices.contains(slot) else {
            throw LoadError(description: "a receipt that nobody asked for")
        }
        if !hasSendTime { run.record(since: sentAt[slot], now: now) }
        free.append(slot)
    }
}

/// The part of a body that says when its message was sent: its first eight bytes.
enum SendTime {
    static let byteCount = 8

    static func body(byteCount: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: Self.byteCount)
            + [UInt8](repeating: UInt8(ascii: "x"), count: byteCount - Self.byteCount)
    }

    static func read(_ body: UnsafeRawBufferPointer) -> UInt64 {
        guard body.count >= byteCount else { return 0 }
        return UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    }
}
