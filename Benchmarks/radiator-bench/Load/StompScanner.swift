import Glibc

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
