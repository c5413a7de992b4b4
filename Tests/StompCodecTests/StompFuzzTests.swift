import Base
import NIOCore
import Testing

@testable import StompCodec

/// Seeded mutations of valid streams.
///
/// A failure names the seed; run it again by putting the seed into
/// the arguments of the test.
struct StompFuzzTests {
    private static let seedCount: UInt64 = 4000
    private static let limits = StompLimits(bodyBytesMax: 300, headersMax: 8, headerBytesMax: 200)

    private static let samples: [String] = [
        "CONNECT\naccept-version:1.2\nhost:h\nheart-beat:0,0\n\n\0",
        "SEND\ndestination:/queue/a\nreceipt:r-1\ncontent-length:4\nx:y\\c\n\nab\0c\0",
        "SEND\r\ndestination:/queue/a:b\r\n\r\nhello\0\r\n",
        "SEND\ncontent-length:200\n\n" + String(repeating: "b", count: 200) + "\0",
        "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0\n\n",
        "ACK\nid:1-2\ntransaction:t\n\n\0", "DISCONNECT\nreceipt:77\n\n\0", "\n", "\r\n",
    ]

    private func stream(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            bytes += Array((Self.samples.randomElement(using: &generator) ?? "").utf8)
        }
        return bytes
    }

    private func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        let special: [UInt8] = [0, 10, 13, 58, 92, 45, 48, 57, 255]
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            let byte = special.randomElement(using: &generator) ?? 0
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[place] = byte
            case 1: bytes.insert(byte, at: place)
            case 2 where bytes.count > 1: bytes.remove(at: place)
            case 3: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
            default: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            }
        }
    }

    /// Exercises what a session asks of a frame.
    private func use(_ frame: StompFrame) {
        for name in StompHeaderName.allCases { _ = (frame.string(name), frame.integer(name)) }
        _ = (frame.messageID, frame.ackID)
        var scratch = ByteBuffer()
        let block = frame.canonicalBlock(using: &scratch)
        let text = String(buffer: block)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        for version in StompVersion.allCases {
            var out = ByteBuffer()
            let head = StompMessageHead(
                prefix: Array("MESSAGE\n".utf8),
                id: StompMessageID(queue: 1, sequence: 1),
                ack: nil,
                redeliveries: 1
            )
            StompSerializer(version: version).writeMessage(
                head,
                headers: block,
                body: frame.body,
                into: &out
            )
        }
    }

    @Test("mutated streams never crash, and the result does not depend on the split")
    func mutatedStreams() {
        var failures = 0
        for seed in 0..<Self.seedCount {
            var generator = SeededGenerator(seed: seed)
            var bytes = stream(&generator)
            mutate(&bytes, &generator)
            let version = (StompVersion.allCases + [nil]).randomElement(using: &generator) ?? nil
            let whole = parse(pieces: [bytes], version: version, limits: Self.limits)
            let pieces = cut(bytes, using: &generator)
            let split = parse(pieces: pieces, version: version, limits: Self.limits)
            #expect(whole == split, "seed \(seed)")
            if whole.error != nil { failures += 1 }
        }
        // Both outcomes must be common, or the test shows little.
        #expect(failures > Int(Self.seedCount) / 10)
        #expect(failures < Int(Self.seedCount) * 9 / 10)
    }

    @Test("whatever frame comes out can be read, stored and delivered")
    func useOfFrames() throws {
        var frames = 0
        for seed in 0..<Self.seedCount {
            var generator = SeededGenerator(seed: seed &+ 1_000_000)
            var bytes = stream(&generator)
            mutate(&bytes, &generator)
            var parser = StompParser(
                limits: Self.limits,
                version: StompVersion.allCases.randomElement(using: &generator)
            )
            parser.feed(ByteBuffer(bytes: bytes))
            var frame = StompFrame()
            while (try? parser.next(into: &frame)) == true {
                use(frame)
                frames += 1
            }
        }
        #expect(frames > Int(Self.seedCount))
    }

    @Test("a stored block delivered to 1.2 reads as what was sent")
    func blockMeansTheSame() throws {
        for seed in 0..<Self.seedCount {
            var generator = SeededGenerator(seed: seed &+ 2_000_000)
            let version = StompVersion.allCases.randomElement(using: &generator) ?? .v12
            let alphabet = Array("ab:\\ \r\n")
            let value = String(
                (0..<Int.random(in: 0...8, using: &generator)).compactMap { _ in
                    alphabet.randomElement(using: &generator)
                }
            )
            let escaped = String(
                decoding: StompEscaping.encode(value, version: version),
                as: UTF8.self
            )
            let sent = try frame("SEND\nk:\(escaped)\nz:1\n\n\0", version: version)
            let span = sent.span
            let meant = StompEscaping.decode(
                span,
                sent.headers[0].valueRange,
                escapes: version == .v10 ? nil : version
            )
            var block = ByteBuffer()
            sent.appendCanonicalBlock(to: &block)
            let stored = try frame("SEND\n\(String(buffer: block))\n\0", version: .v12)
            let read = StompEscaping.decode(
                stored.span,
                stored.headers[0].valueRange,
                escapes: .v12
            )
            #expect(read == meant, "seed \(seed)")
            #expect(stored.headers.count == 2, "seed \(seed)")
        }
    }
}
