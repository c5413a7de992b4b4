import NIOCore

/// Puts jobs into its tubes; the reply to `put` plays the part of the receipt.
struct BeanstalkProducer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = false
    private let tube: String
    private var pump: SendPump
    /// Places in the window; replies come in the order of the commands.
    private var underWay = CircularBuffer<Int>()

    init(run: LoadRun, number: Int, queue: String) {
        let load = run.load
        tube = "\(queue).\(load.queue(ofProducer: number, variant: 0))"
        // The tube is a property of the connection: it changes seldom, for it costs a command.
        pump = SendPump(
            run: run,
            producer: number,
            tail: "\r\n",
            turnLength: load.window,
            turnHead: { load.isSpread ? "use \(queue).\($0)\r\n" : "" },
            head: { _, _ in "put 0 0 600 \(load.bodyBytes)\r\n" }
        )
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString("use \(tube)\r\n") }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        refill(now: now, into: &out)
    }

    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int {
        var scanner = BeanstalkScanner(bytes: bytes)
        while let reply = try scanner.next() {
            switch reply.kind {
            case .using:
                if phase == .opening { phase = .ready }
            case .inserted:
                guard let slot = underWay.popFirst() else { throw BeanstalkScanner.surplusReply }
                try pump.receipted(slot, now: now)
            case .watching, .deleted, .reserved, .timedOut:
                throw BeanstalkScanner.surplusReply
            }
        }
        refill(now: now, into: &out)
        return scanner.consumed
    }

    mutating func refill(now: UInt64, into out: inout ByteBuffer) {
        guard phase == .running else { return }
        while let slot = pump.sendNext(now: now, into: &out) { underWay.append(slot) }
        if pump.isDone { phase = .done }
    }

    mutating func finish(into out: inout ByteBuffer) {}
}

/// Reserves and deletes; each delete goes out together with the next reserve.
///
/// The protocol has no prefetch: a few reserves in the pipe take its place.
struct BeanstalkConsumer: LoadRole {
    private static let reservesInPipe = 8

    private(set) var phase = LoadPhase.opening
    let isConsumer = true
    private let run: LoadRun
    private let tube: String
    /// Where all jobs are there from the start, a `reserve` need not wait for one.
    private let reserve: StaticString
    private var deletesUnderWay = 0
    private var isFinishing = false

    init(run: LoadRun, number: Int, queue: String) {
        self.run = run
        tube = "\(queue).\(number)"
        reserve = run.load.waiting > 0 ? "reserve-with-timeout 0\r\n" : "reserve\r\n"
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString("watch \(tube)\r\n") }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        for _ in 0..<Self.reservesInPipe { out.writeStaticString(reserve) }
    }

    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int {
        var scanner = BeanstalkScanner(bytes: bytes)
        while let reply = try scanner.next() {
            switch reply.kind {
            case .watching: phase = .ready
            case .reserved:
                run.countDelivered(scanner.bytes(in: reply.body), now: now)
                deletesUnderWay += 1
                out.writeStaticString("delete ")
                out.writeBytes(scanner.bytes(in: reply.identifier))
                out.writeStaticString("\r\n")
                out.writeStaticString(reserve)
            case .deleted: deletesUnderWay -= 1
            // The tube is empty and stays so.
            case .timedOut: break
            case .using, .inserted: throw BeanstalkScanner.surplusReply
            }
        }
        endIfSettled()
        return scanner.consumed
    }

    mutating func refill(now: UInt64, into out: inout ByteBuffer) {}

    mutating func finish(into out: inout ByteBuffer) {
        isFinishing = true
        endIfSettled()
    }

    /// A `reserve` that waits for a job holds up the deletes behind it: at the end those count as
    /// settled that were sent, as the next job would carry them out.
    private mutating func endIfSettled() {
        let heldUpMax = run.load.waiting > 0 ? 0 : Self.reservesInPipe
        if isFinishing && deletesUnderWay <= heldUpMax { phase = .done }
    }
}

/// Finds the replies in what beanstalkd sent, in place.
struct BeanstalkScanner {
    enum Kind { case using, watching, inserted, deleted, reserved, timedOut }

    static let surplusReply = LoadError(description: "a reply to a command that was not sent")

    struct Reply {
        var kind: Kind
        var identifier = 0..<0
        var body = 0..<0
    }

    private let bytes: UnsafeRawBufferPointer
    private(set) var consumed = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next whole reply; nil when the rest is not one yet.
    mutating func next() throws(LoadError) -> Reply? {
        guard let lineEnd = bytes[consumed...].firstIndex(of: UInt8(ascii: "\r")),
            lineEnd + 1 < bytes.count
        else { return nil }
        var reply = Reply(kind: try kind(lineEnd: lineEnd))
        guard reply.kind == .reserved else {
            consumed = lineEnd + 2
            return reply
        }
        // RESERVED <id> <bytes>
        let words = bytes[consumed..<lineEnd].split(separator: UInt8(ascii: " "))
        guard words.count == 3 else { throw LoadError(description: "a RESERVED without its words") }
        let byteCount = words[2].reduce(0) { $0 &* 10 &+ Int($1 &- UInt8(ascii: "0")) }
        let bodyStart = lineEnd + 2
        guard bodyStart + byteCount + 2 <= bytes.count else { return nil }
        reply.identifier = words[1].startIndex..<words[1].endIndex
        reply.body = bodyStart..<bodyStart + byteCount
        consumed = bodyStart + byteCount + 2
        return reply
    }

    func bytes(in range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[range])
    }

    private func kind(lineEnd: Int) throws(LoadError) -> Kind {
        switch (bytes[consumed], bytes[consumed + 1]) {
        case (UInt8(ascii: "I"), UInt8(ascii: "N")): return .inserted
        case (UInt8(ascii: "R"), _): return .reserved
        case (UInt8(ascii: "D"), UInt8(ascii: "E")): return .deleted
        case (UInt8(ascii: "U"), UInt8(ascii: "S")): return .using
        case (UInt8(ascii: "W"), _): return .watching
        case (UInt8(ascii: "T"), _): return .timedOut
        default:
            let text = String(decoding: bytes[consumed..<lineEnd], as: UTF8.self)
            throw LoadError(description: "the server said: \(text)")
        }
    }
}
