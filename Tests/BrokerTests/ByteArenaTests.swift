import ByteSpans
import NIOCore
import Testing

/// Pieces share blocks that serve again, and never while somebody still holds a piece of them.
@Suite struct ByteArenaTests {
    private func text(_ number: Int) -> String { "headers \(number)" }

    private func copy(
        _ number: Int,
        _ arena: inout ByteArena,
        bytes: Int
    ) -> (ByteBuffer, ByteBuffer) {
        let body = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes)
        return arena.copy(Array(text(number).utf8).span.bytes, body.span.bytes)
    }

    private func expect(_ piece: (ByteBuffer, ByteBuffer), is number: Int, bytes: Int) {
        #expect(String(buffer: piece.0) == text(number))
        #expect(piece.1.readableBytes == bytes)
        #expect(piece.1.readableBytesView.allSatisfy { $0 == UInt8(truncatingIfNeeded: number) })
    }

    @Test(
        "pieces that are kept stay as they are, however many follow",
        arguments: [0, 1, 250, 2_000, 70_000]
    )
    func kept(bytes: Int) {
        var arena = ByteArena()
        var pieces: [(ByteBuffer, ByteBuffer)] = []
        // Enough for several blocks, in a build that compares byte by byte.
        let count = bytes > 10_000 ? 60 : 1_500
        for number in 0..<count { pieces.append(copy(number, &arena, bytes: bytes)) }
        for (number, piece) in pieces.enumerated() { expect(piece, is: number, bytes: bytes) }
    }

    @Test("pieces of all sizes, some kept and some not")
    func mixed() {
        var arena = ByteArena()
        var kept: [(number: Int, bytes: Int, piece: (ByteBuffer, ByteBuffer))] = []
        for number in 0..<4_000 {
            let bytes = number * number % 2_500
            let piece = copy(number, &arena, bytes: bytes)
            expect(piece, is: number, bytes: bytes)
            if number % 7 == 0 { kept.append((number, bytes, piece)) }
        }
        for (number, bytes, piece) in kept { expect(piece, is: number, bytes: bytes) }
    }

    @Test("who changes a piece changes only that one")
    func changed() {
        var arena = ByteArena()
        var first = copy(1, &arena, bytes: 10)
        let second = copy(2, &arena, bytes: 10)
        first.0.writeString(" and more than there was room for")
        first.1.setInteger(UInt8(9), at: first.1.readerIndex)
        let third = copy(3, &arena, bytes: 10)
        #expect(String(buffer: first.0) == "headers 1 and more than there was room for")
        #expect(Array(first.1.readableBytesView) == [9] + Array(repeating: 1, count: 9))
        expect(second, is: 2, bytes: 10)
        expect(third, is: 3, bytes: 10)
    }

    @Test("blocks of pieces that are gone serve again")
    func reused() {
        var arena = ByteArena()
        var blocks: Set<UInt> = []
        // What is freed goes to others at once, so that memory cannot come back by chance.
        var others: [ByteBuffer] = []
        for number in 0..<4_000 {
            let piece = copy(number, &arena, bytes: 1_000)
            let place = piece.1.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
            blocks.insert(place / UInt(ByteArena.blockBytes))
            if number % 60 == 0 {
                others.append(ByteBuffer(repeating: 1, count: ByteArena.blockBytes))
            }
        }
        // A block may begin anywhere, and so lie in two.
        #expect(blocks.count <= 8)
        #expect(others.count == 67)
    }

    @Test("large pieces take no part of a block")
    func large() {
        var arena = ByteArena()
        let small = copy(1, &arena, bytes: 10)
        let large = copy(2, &arena, bytes: 4_000)
        #expect(large.1.storageCapacity < ByteArena.blockBytes)
        #expect(small.1.storageCapacity == ByteArena.blockBytes)
    }
}
