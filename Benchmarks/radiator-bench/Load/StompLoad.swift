import NIOCore

/// Sends prebuilt frames; the receipt names the place in the window.
struct StompProducer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = false
    private var pump: SendPump

    init(run: LoadRun, number: Int, queue: String) {
        let parts = StompFrames(load: run.load, queue: queue).parts(ofProducer: number)
        pump = SendPump(run: run, producer: number, parts: parts)
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString(Wire.stompConnect) }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        refill(now: now, into: &out)
    }

    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int {
        var scanner = StompScanner(bytes: bytes)
        while let frame = try scanner.next() {
            switch frame.kind {
            case .connected: phase = .ready
            case .receipt: try pump.receipted(scanner.number(in: frame.receipt), now: now)
            case .message: throw LoadError(description: "a MESSAGE for a producer")
            }
        }
        refill(now: now, into: &out)
        return scanner.consumed
    }

    mutating func refill(now: UInt64, into out: inout ByteBuffer) {
        guard phase == .running else { return }
        while pump.sendNext(now: now, into: &out) != nil {}
        if pump.isDone { phase = .done }
    }

    mutating func finish(into out: inout ByteBuffer) {}
}

/// Reads its queues and acknowledges each message by itself, or reads a topic.
struct StompConsumer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = true
    private let run: LoadRun
    private let number: Int
    private let subscriptions: String
    private let acknowledges: Bool
    private var isFinishing = false

    init(run: LoadRun, number: Int, queue: String) {
        self.run = run
        self.number = number
        subscriptions = StompFrames(load: run.load, queue: queue).subscriptions(ofConsumer: number)
        acknowledges = run.load.destination != .topic
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString(Wire.stompConnect) }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        if subscribesLate { out.writeString(subscriptions) }
    }

    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int {
        var scanner = StompScanner(bytes: bytes)
        while let frame = try scanner.next() {
            switch frame.kind {
            case .connected:
                if subscribesLate { phase = .ready } else { out.writeString(subscriptions) }
            case .receipt:
                // Of the last SUBSCRIBE before the start, of DISCONNECT after it.
                if isFinishing { phase = .done } else if phase == .opening { phase = .ready }
            case .message:
                run.countDelivered(scanner.bytes(in: frame.body), to: number, now: now)
                guard acknowledges else { continue }
                out.writeStaticString("ACK\nid:")
                out.writeBytes(scanner.bytes(in: frame.ack))
                out.writeStaticString("\n\n\0")
            }
        }
        return scanner.consumed
    }

    mutating func refill(now: UInt64, into out: inout ByteBuffer) {}

    mutating func finish(into out: inout ByteBuffer) {
        isFinishing = true
        out.writeStaticString("DISCONNECT\nreceipt:end\n\n\0")
    }

    /// What waits must not arrive before the clock runs.
    private var subscribesLate: Bool { run.load.waiting > 0 }
}
