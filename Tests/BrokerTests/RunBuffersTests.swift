import NIOCore
import Testing

@testable import Broker

/// Buffers serve again, and never while a message still stands in them.
@Suite struct RunBuffersTests {
    private func text(_ number: Int) -> String { "message \(number)" }

    /// Reads a run of one message, as the store does.
    private func run(_ number: Int, _ buffers: inout RunBuffers, bytes: Int = 256) -> ByteBuffer {
        buffers.fill(bytes) { buffer in
            #expect(buffer.readableBytes == 0)
            #expect(buffer.writableBytes >= bytes)
            buffer.writeString(text(number))
            return buffer.getSlice(at: 0, length: buffer.readableBytes) ?? ByteBuffer()
        }
    }

    private func place(of buffer: ByteBuffer) -> Int {
        buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
    }

    @Test("messages that are kept stay as they are, however many runs follow")
    func kept() {
        var buffers = RunBuffers()
        var messages: [ByteBuffer] = []
        for number in 0..<2_000 { messages.append(run(number, &buffers)) }
        for (number, message) in messages.enumerated() {
            #expect(String(buffer: message) == text(number))
        }
    }

    @Test("memory of messages that are gone serves again")
    func reused() {
        var buffers = RunBuffers()
        var places: Set<Int> = []
        // What is freed goes to others at once, so that memory cannot come back by chance.
        var others: [ByteBuffer] = []
        for number in 0..<2_000 {
            places.insert(place(of: run(number, &buffers)))
            others.append(ByteBuffer(repeating: 1, count: 256))
        }
        #expect(places.count <= 256)
        #expect(others.count == 2_000)
    }

    @Test("large buffers are not kept, nor those that grew")
    func large() {
        var buffers = RunBuffers()
        for number in 0..<600 {
            let message = run(number, &buffers, bytes: 1 << 16)
            #expect(String(buffer: message) == text(number))
            _ = buffers.fill(16) { $0.writeRepeatingByte(1, count: 1 << 16) }
        }
        // Once around.
        for _ in 0..<256 { buffers.fill(16) { #expect($0.capacity <= 2048) } }
    }
}
