import NIOCore

#if canImport(Glibc)
    import Glibc
#endif

/// Sends prebuilt frames, one for each place in its window; the receipt names the place.
struct StompProducer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = false
    private var pump: SendPump

    init(run: LoadRun, number: Int, queue: String) {
        let bodyBytes = run.load.bodyBytes
        pump = SendPump(run: run, producer: number, tail: "\0") { queueNumber, slot in
            Self.head(queue: "\(queue).\(queueNumber)", slot: slot, bodyBytes: bodyBytes)
        }
    }

    /// A SEND up to its body.
    static func head(queue: String, slot: Int, bodyBytes: Int) -> String {
        "SEND\ndestination:/queue/\(queue)\npersistent:true\nreceipt:\(slot)\n"
            + "content-length:\(bodyBytes)\n\n"
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

/// Reads one queue and acknowledges each message by itself.
struct StompConsumer: LoadRole {
    private(set) var phase = LoadPhase.opening
    let isConsumer = true
    private let run: LoadRun
    private let queue: String
    private var isFinishing = false

    init(run: LoadRun, number: Int, queue: String) {
        self.run = run
        self.queue = "\(queue).\(number)"
    }

    mutating func open(into out: inout ByteBuffer) { out.writeString(Wire.stompConnect) }

    mutating func start(now: UInt64, into out: inout ByteBuffer) {
        phase = .running
        if subscribesLate { subscribe(into: &out) }
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
                if subscribesLate { phase = .ready } else { subscribe(into: &out) }
            case .receipt:
                // Of SUBSCRIBE before the start, of DISCONNECT after it.
                if isFinishing { phase = .done } else if phase == .opening { phase = .ready }
            case .message:
                run.countDelivered(scanner.bytes(in: frame.body), now: now)
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

    private func subscribe(into out: inout ByteBuffer) {
        out.writeString(
            "SUBSCRIBE\nid:s\ndestination:/queue/\(queue)\nack:client-individual\n"
                + "prefetch-count:\(run.load.prefetch)\nreceipt:s\n\n\0"
        )
    }
}

/// Finds the frames in what a server sent, in place; knows only what a load needs.
struct StompScanner {
    enum Kind { case connected, receipt, message }

    struct Frame {
        var kind = Kind.connected
        var receipt = 0..<0
        var ack = 0..<0
        var body = 0..<0
    }

    private let bytes: UnsafeRawBufferPointer
    /// Bytes of whole frames, and line ends before them.
    private(set) var consumed = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next whole frame; nil when the rest is not one yet.
    mutating func next() throws(LoadError) -> Frame? {
        while consumed < bytes.count, bytes[consumed] == UInt8(ascii: "\n") { consumed += 1 }
        guard var lineStart = index(of: UInt8(ascii: "\n"), from: consumed).map({ $0 + 1 }) else {
            return nil
        }
        var frame = Frame()
        var contentLength: Int?
        while true {
            guard let lineEnd = index(of: UInt8(ascii: "\n"), from: lineStart) else { return nil }
            if lineEnd == lineStart { break }
            let line = lineStart..<lineEnd
            switch bytes[lineStart] {
            case UInt8(ascii: "a"): value(of: "ack:", in: line).map { frame.ack = $0 }
            case UInt8(ascii: "r"): value(of: "receipt-id:", in: line).map { frame.receipt = $0 }
            case UInt8(ascii: "c"):
                value(of: "content-length:", in: line).map { contentLength = number(in: $0) }
            default: break
            }
            lineStart = lineEnd + 1
        }
        let bodyStart = lineStart + 1
        guard let bodyEnd = contentLength.map({ bodyStart + $0 }) ?? index(of: 0, from: bodyStart),
            bodyEnd < bytes.count
        else { return nil }
        frame.body = bodyStart..<bodyEnd
        frame.kind = try kind(frameEnd: bodyEnd)
        consumed = bodyEnd + 1
        return frame
    }

    func number(in range: Range<Int>) -> Int {
        range.reduce(0) { $0 &* 10 &+ Int(bytes[$1] &- UInt8(ascii: "0")) }
    }

    func bytes(in range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[range])
    }

    private func kind(frameEnd: Int) throws(LoadError) -> Kind {
        switch bytes[consumed] {
        case UInt8(ascii: "M"): return .message
        case UInt8(ascii: "R"): return .receipt
        case UInt8(ascii: "C"): return .connected
        default:
            let text = String(decoding: bytes[consumed..<frameEnd], as: UTF8.self)
            throw LoadError(description: "the server said: \(text)")
        }
    }

    private func index(of byte: UInt8, from start: Int) -> Int? {
        guard start < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + start, Int32(byte), bytes.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    private func value(of prefix: StaticString, in line: Range<Int>) -> Range<Int>? {
        guard line.count >= prefix.utf8CodeUnitCount, let base = bytes.baseAddress,
            memcmp(base + line.lowerBound, prefix.utf8Start, prefix.utf8CodeUnitCount) == 0
        else { return nil }
        return line.lowerBound + prefix.utf8CodeUnitCount..<line.upperBound
    }
}
