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
