import NIOCore
import Testing

@testable import StompCodec

@Suite("Marks of header lines")
struct LineMarksTests {
    /// Bytes of which most matter to header lines.
    private func bytes(_ count: Int, _ generator: inout SystemRandomNumberGenerator) -> [UInt8] {
        let likely = Array("\n:\r\\\0;9\u{8}\u{b}a[".utf8)
        return (0..<count).map { _ in
            Bool.random(using: &generator)
                ? likely.randomElement(using: &generator) ?? 0
                : .random(in: 0...255, using: &generator)
        }
    }

    @Test("marks stand where a plain search finds the bytes, whatever the length and the place")
    func plain() {
        var generator = SystemRandomNumberGenerator()
        for count in 1...200 {
            let bytes = bytes(count, &generator)
            let offset = Int.random(in: 0..<count, using: &generator)
            let marks = LineMarks(bytes.span.bytes, at: offset)
            #expect(marks.count == min(64, count - offset))
            for place in 0..<64 {
                let byte = place < marks.count ? bytes[offset + place] : 255
                let isStop = byte == 10 || byte == 58 || byte == 0
                let isSpecial = byte == 92 || byte == 13
                #expect(marks.stops >> UInt64(place) & 1 == (isStop ? 1 : 0), "\(bytes) \(place)")
                #expect(
                    marks.specials >> UInt64(place) & 1 == (isSpecial ? 1 : 0),
                    "\(bytes) \(place)"
                )
            }
        }
    }

    @Test("a frame whose lines lie across the 64-byte blocks is parsed like any other")
    func acrossBlocks() {
        for padding in 0..<140 {
            let value = String(repeating: "v", count: padding)
            let frame = SeenFrame(.send, ["destination:/queue/a", "x:\(value)", "y:1:2"], "body")
            let text = "SEND\ndestination:/queue/a\nx:\(value)\ny:1:2\n\nbody\0"
            #expect(parse(text) == Parsed(frames: [frame]))
            #expect(parse(pieces: text.utf8.map { [$0] }) == Parsed(frames: [frame]))
        }
    }
}
