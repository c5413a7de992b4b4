import NIOCore

/// Puts jobs into its tubes; the reply to `put` plays the part of the receipt.
struct BeanstalkProducer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = false
    private let use: String
    private var pump: SendPump
    /// Places in the window; replies come in the order of the commands.
    private var underWay = CircularBuffer<Int>()

    init(run: LoadRun, number: Int, queue: String) {
        let load = run.load
        let uses = load.queues(ofProducer: number).map { "use \(queue).\($0)\r\n" }
        use = uses[0]
        var parts = FrameParts()
        // The tube is a property of the connection: it changes seldom, for it costs a command.
        for use in uses { parts.addQueue(turn: load.isSpread ? use : "") }
        for _ in 0..<load.window { parts.addPlace() }
        for body in load.bodies(ofProducer: number) {
            parts.addBody(body, after: "put 0 0 600 \(load.bodyBytes)\r\n", before: "\r\n")
        }
        pump = SendPump(run: run, producer: number, parts: parts, turnLength: load.window)
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString(use) }

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
    private static let reservesInPipeMax = 8

    private(set) var phase = LoadPhase.opening
    let isConsumer = true
    private let run: LoadRun
    private let number: Int
    private let tubes: [String]
    private let reservesInPipe: Int
    /// Where all jobs are there from the start, a `reserve` need not wait for one.
    private let reserve: StaticString
    private var watchesUnderWay: Int
    private var deletesUnderWay = 0
    private var isFinishing = false

    init(run: LoadRun, number: Int, queue: String) {
        self.run = run
        self.number = number
        tubes = run.load.queues(ofConsumer: number).map { "\(queue).\($0)" }
        watchesUnderWay = tubes.count
        reservesInPipe = min(run.load.prefetch, Self.reservesInPipeMax)
        reserve = run.load.waiting > 0 ? "reserve-with-timeout 0\r\n" : "reserve\r\n"
    }

    mutating func open(into out: inout ByteBuffer) {
        for tube in tubes { out.writeString("watch \(tube)\r\n") }
    }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        for _ in 0..<reservesInPipe { out.writeStaticString(reserve) }
    }

    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int {
        var scanner = BeanstalkScanner(bytes: bytes)
        while let reply = try scanner.next() {
            switch reply.kind {
            case .watching:
                watchesUnderWay -= 1
                if watchesUnderWay == 0 { phase = .ready }
            case .reserved:
                run.countDelivered(scanner.bytes(in: reply.body), to: number, now: now)
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
        let heldUpMax = run.load.waiting > 0 ? 0 : reservesInPipe
        if isFinishing && deletesUnderWay <= heldUpMax { phase = .done }
    }
}
