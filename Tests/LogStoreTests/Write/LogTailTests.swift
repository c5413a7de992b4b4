import Testing

@testable import LogStore

@Suite struct LogTailTests {
    private func append(_ count: Int, _ byte: UInt8, to tail: inout LogTail) {
        tail.reserve(count)
        tail.append { $0.append(repeating: byte, count: count, as: UInt8.self) }
    }

    private func place(_ segment: UInt32, _ offset: Int) -> LogPosition {
        LogPosition(segment: segment, offset: offset)
    }

    @Test("a record never straddles two chunks, and a large one has a chunk of its own")
    func chunks() {
        var tail = LogTail(chunkBytes: 100, bytesMax: 1_000, at: place(1, 64))
        for _ in 0..<3 { append(60, 1, to: &tail) }
        append(500, 2, to: &tail)
        #expect(tail.end == place(1, 64 + 180 + 500))
        let pieces = tail.pieces(from: place(1, 64))
        #expect(pieces.map(\.offset) == [64, 124, 184, 244])
        #expect(pieces.map(\.range.count) == [60, 60, 60, 500])
        #expect(tail.chunk(at: place(1, 300))?.start == 244)
        #expect(tail.chunk(at: place(1, 744)) == nil)
        #expect(tail.chunk(at: place(1, 63)) == nil)
    }

    @Test("pieces begin in the middle of a chunk and stay in their segment")
    func pieces() {
        var tail = LogTail(chunkBytes: 100, bytesMax: 1_000, at: place(1, 0))
        append(80, 1, to: &tail)
        tail.beginSegment(2)
        append(80, 2, to: &tail)
        append(80, 3, to: &tail)
        #expect(tail.pieces(from: place(2, 8)).map(\.offset) == [8, 80])
        #expect(tail.pieces(from: place(2, 160)).isEmpty)
        #expect(tail.chunk(at: place(1, 79))?.segment == 1)
        #expect(tail.chunk(at: place(1, 80)) == nil)
    }

    @Test("what is not written yet stays, however much there is")
    func eviction() {
        var tail = LogTail(chunkBytes: 100, bytesMax: 200, at: place(1, 0))
        for _ in 0..<10 { append(100, 1, to: &tail) }
        tail.evict(written: place(1, 250))
        #expect(tail.chunk(at: place(1, 199)) == nil)
        #expect(tail.chunk(at: place(1, 200)) != nil)
        tail.evict(written: place(1, 1_000))
        #expect(tail.chunk(at: place(1, 799)) == nil)
        #expect(tail.chunk(at: place(1, 800)) != nil)
    }

    @Test("a patch changes bytes that were appended before")
    func patch() throws {
        var tail = LogTail(chunkBytes: 100, bytesMax: 200, at: place(1, 0))
        append(60, 1, to: &tail)
        append(60, 1, to: &tail)
        tail.patch(at: place(1, 10), count: 2) {
            $0.append(repeating: 9, count: 2, as: UInt8.self)
        }
        let chunk = try #require(tail.chunk(at: place(1, 10)))
        let bytes = chunk.chunk.withBytes(0..<60) { $0.array(0..<60) }
        #expect(bytes.indices.filter { bytes[$0] == 9 } == [10, 11])
    }
}
