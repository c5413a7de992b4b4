import Base
import TestSupport
import Testing

@testable import LogStore

@Suite struct BlockCodecTests {
    private func decoded(_ codec: BlockCodec, _ stored: [UInt8], _ count: Int) -> [UInt8]? {
        codec.decode(stored.span.bytes, plainCount: count)
    }

    private let plain = (0..<4_000).flatMap { Array("{\"order\": \($0 % 50)}".utf8) }

    @Test("every codec gives back what it stored", arguments: BlockCodec.allCases)
    func roundTrip(_ codec: BlockCodec) throws {
        let stored = try #require(codec.encode(plain))
        #expect(codec == .stored || stored.count < plain.count / 5)
        #expect(decoded(codec, stored, plain.count) == plain)
    }

    @Test(
        "bytes that are cut, changed in length, or strange decode to nothing",
        arguments: [
            BlockCodec.zlib, .zstd,
        ]
    )
    func damaged(_ codec: BlockCodec) throws {
        let stored = try #require(codec.encode(plain))
        #expect(decoded(codec, stored.dropLast(), plain.count) == nil)
        #expect(decoded(codec, stored, plain.count - 1) == nil)
        #expect(decoded(codec, stored, plain.count + 1) == nil)
        #expect(decoded(codec, [1, 2, 3, 4], plain.count) == nil)
    }

    @Test("what does not become smaller is left alone", arguments: [BlockCodec.zlib, .zstd])
    func incompressible(_ codec: BlockCodec) {
        var generator = SeededGenerator(seed: 1)
        let random = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        #expect(codec.encode(random) == nil)
    }
}
