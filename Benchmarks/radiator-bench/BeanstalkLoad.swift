import NIOCore

/// Puts jobs into one tube; the reply to `put` plays the part of the receipt.
struct BeanstalkProducer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = false
    private let run: LoadRun
    private let tube: String
    private let command: ByteBuffer
    private let bodyOffset: Int
    /// Send times of what is under way; replies come in the order of the commands.
    private var sentAt: [UInt64]
    private var sentCount = 0
    private var repliedCount = 0

    init(run: LoadRun, queue: String) {
        self.run = run
        tube = queue
        let body = SendTime.body(byteCount: run.workload.bodyBytes)
        var command = ByteBuffer(string: "put 0 0 600 \(body.count)\r\n")
        bodyOffset = command.readableBytes
        command.writeBytes(body)
        command.writeString("\r\n")
        self.command = command
        sentAt = [UInt64](repeating: 0, count: run.workload.window)
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
            case .using: phase = .ready
            case .inserted:
                if run.workload.consumers == 0 {
                    run.record(since: sentAt[repliedCount % sentAt.count], now: now)
                }
                repliedCount += 1
            case .watching, .deleted, .reserved:
                throw LoadError(description: "a reply to a command that was not sent")
            }
        }
        refill(now: now, into: &out)
        return scanner.consumed
    }

    mutating func refill(now: UInt64, into out: inout ByteBuffer) {
        guard phase == .running else { return }
        while run.maySend, sentCount - repliedCount < sentAt.count {
            let start = out.writerIndex
            out.writeImmutableBuffer(command)
            out.setInteger(now, at: start + bodyOffset, endianness: .little)
            sentAt[sentCount % sentAt.count] = now
            sentCount += 1
            run.countSent()
        }
        if run.hasSentAll && sentCount == repliedCount { phase = .done }
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
    private var deletesUnderWay = 0
    private var isFinishing = false

    init(run: LoadRun, queue: String) {
        self.run = run
        tube = queue
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString("watch \(tube)\r\n") }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        for _ in 0..<Self.reservesInPipe { out.writeStaticString("reserve\r\n") }
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
                run.record(since: SendTime.read(scanner.bytes(in: reply.body)), now: now)
                run.countDelivered()
                deletesUnderWay += 1
                out.writeStaticString("delete ")
                out.writeBytes(scanner.bytes(in: reply.identifier))
                out.writeStaticString("\r\nreserve\r\n")
            case .deleted: deletesUnderWay -= 1
            case .using, .inserted:
                throw LoadError(description: "a reply to a command that was not sent")
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
        if isFinishing && deletesUnderWay <= Self.reservesInPipe { phase = .done }
    }
}

/// Finds the replies in what beanstalkd sent, in place.
struct BeanstalkScanner {
    enum Kind { case using, watching, inserted, deleted, reserved }

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
        default:
            let text = String(decoding: bytes[consumed..<lineEnd], as: UTF8.self)
            throw LoadError(description: "the server said: \(text)")
        }
    }
}
