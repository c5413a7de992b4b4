import Glibc
import NIOCore
import StompCodec
import Synchronization

/// Whether the user wants to stop: set by the first SIGINT or SIGTERM, a second one ends the process.
enum Interruption {
    private static let flag = Atomic(false)

    static var isWanted: Bool { flag.load(ordering: .relaxed) }

    static func watch() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                Interruption.flag.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }
}

/// A client's connection to a broker: bytes out, frames in, on one thread.
///
/// Confinement: one verb.
final class StompConnection {
    private static let readBytes = 64 << 10
    /// More than this is not kept for writing; the sender waits.
    private static let outgoingBytesMax = 4 << 20
    private static let waitMilliseconds: Int32 = 200

    private let descriptor: Int32
    private var parser = StompParser(version: .v12)
    private var outgoing: [UInt8] = []
    private var written = 0
    private let onFrame: (StompFrame) throws -> Void
    private let clock = ContinuousClock()

    /// Connects and logs in; `onFrame` gets every further frame.
    init(
        _ address: StompAddress,
        login: String?,
        passcode: String?,
        onFrame: @escaping (StompFrame) throws -> Void
    ) throws {
        self.onFrame = onFrame
        descriptor = try address.connect()
        var flag: Int32 = 1
        setsockopt(
            descriptor,
            Int32(IPPROTO_TCP),
            TCP_NODELAY,
            &flag,
            socklen_t(MemoryLayout.size(ofValue: flag))
        )
        var text = "CONNECT\naccept-version:1.2\nheart-beat:0,0\nhost:\(address.host)\n"
        if let login { text += "login:\(login)\n" }
        if let passcode { text += "passcode:\(passcode)\n" }
        outgoing = Array((text + "\n\0").utf8)
        parser.version = nil
        try awaitConnected()
        // More may have come with the answer.
        try takeFrames()
    }

    deinit {
        close(descriptor)
    }

    private func awaitConnected() throws {
        let deadline = clock.now + .seconds(20)
        while true {
            if let frame = try parse({ try parser.next() }) {
                guard frame.command == .connected else {
                    throw ToolFailure("the broker refuses the connection: \(Self.text(frame))")
                }
                parser.version = .v12
                return
            }
            if Interruption.isWanted { throw ToolFailure("interrupted; nothing was sent") }
            guard clock.now < deadline else {
                throw ToolFailure("the broker does not answer; is it a STOMP broker?")
            }
            try exchange(Self.waitMilliseconds)
        }
    }

    /// Queues bytes for writing; waits while too many are queued.
    func send(_ bytes: [UInt8]) throws {
        outgoing += bytes
        try pump { outgoing.count - written <= Self.outgoingBytesMax }
    }

    /// Writes and reads until `isDone`, the given time, or an interruption.
    func pump(until deadline: ContinuousClock.Instant? = nil, _ isDone: () -> Bool) throws {
        try exchange(0)
        while !isDone() {
            var wait = Self.waitMilliseconds
            if let deadline {
                let left = (deadline - clock.now) / .milliseconds(1)
                if left <= 0 { return }
                wait = min(wait, Int32(left.rounded(.up)))
            } else if Interruption.isWanted {
                return
            }
            try exchange(wait)
        }
    }

    /// One round of writing what can be written and reading what is there.
    private func exchange(_ wait: Int32) throws {
        let wants = written < outgoing.count ? Int16(POLLIN | POLLOUT) : Int16(POLLIN)
        var entry = pollfd(fd: descriptor, events: wants, revents: 0)
        let count = poll(&entry, 1, wait)
        guard count > 0 else { return }
        if entry.revents & Int16(POLLOUT) != 0 { try write() }
        if entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { try read() }
    }

    private func write() throws {
        let count = outgoing.withUnsafeBytes { buffer in
            buffer.baseAddress.map {
                Glibc.send(
                    descriptor,
                    $0 + written,
                    buffer.count - written,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
                )
            } ?? 0
        }
        if count < 0 {
            // What the broker said before it went away can still be read.
            if errno == EAGAIN || errno == EINTR || errno == EPIPE || errno == ECONNRESET { return }
            throw ToolFailure("the connection was lost: \(String(cString: strerror(errno)))")
        }
        written += count
        if written == outgoing.count {
            outgoing.removeAll(keepingCapacity: outgoing.count <= Self.outgoingBytesMax)
            written = 0
        } else if written > Self.outgoingBytesMax {
            outgoing.removeFirst(written)
            written = 0
        }
    }

    private func read() throws {
        var block = [UInt8](repeating: 0, count: Self.readBytes)
        let count = block.withUnsafeMutableBytes {
            recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
        }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            let reason = count == 0 ? "the broker closed it" : String(cString: strerror(errno))
            throw ToolFailure("the connection was lost: \(reason)")
        }
        parser.feed(ByteBuffer(bytes: block[..<count]))
        if parser.version != nil { try takeFrames() }
    }

    private func takeFrames() throws {
        while let frame = try parse({ try parser.next() }) {
            if frame.command == .error {
                try onFrame(frame)
                throw ToolFailure("the broker ended it: \(Self.text(frame))")
            }
            try onFrame(frame)
        }
    }

    private func parse(_ body: () throws -> StompFrame?) throws -> StompFrame? {
        do { return try body() } catch let error as StompError {
            throw ToolFailure("the broker does not speak STOMP: \(error)")
        }
    }

    private static func text(_ frame: StompFrame) -> String {
        let body = String(decoding: frame.body.readableBytesView.prefix(500), as: UTF8.self)
        let detail = body.split(whereSeparator: \.isNewline).joined(separator: " ")
        let parts = [frame.string(.message) ?? "", detail].filter { !$0.isEmpty }
        return parts.joined(separator: ": ")
    }
}
