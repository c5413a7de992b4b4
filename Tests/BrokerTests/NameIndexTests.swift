import Base
import Testing

@testable import Broker

/// Names come and go, and each is found at its place and nowhere else.
@Suite struct NameIndexTests {
    /// All bits of a hash, a few, so that names collide and their chains meet, and none.
    private static let hashMasks: [UInt32] = [.max, 0x1f, 0]

    @Test(
        "against a dictionary: insertions, removals, look-ups in random order",
        arguments: 0..<4,
        hashMasks
    )
    func model(seed: UInt64, hashMask: UInt32) {
        var generator = SeededGenerator(seed: seed)
        var index = NameIndex(hashMask: hashMask)
        var places: [String: Int] = [:]
        for step in 0..<(hashMask == .max ? 20_000 : 4_000) {
            // Short ones and long ones, and many that differ in one byte only.
            let number = Int.random(in: 0..<400, using: &generator)
            let name = "/queue/" + String(repeating: "n", count: number % 53) + "\(number)"
            if places[name] != nil {
                if Bool.random(using: &generator) {
                    index.remove(name)
                    places[name] = nil
                }
            } else {
                index.insert(name, at: step)
                places[name] = step
            }
            let asked = "/queue/" + String(repeating: "n", count: step % 53) + "\(step % 400)"
            #expect(index.find(asked.utf8.span.bytes) == places[asked])
        }
    }

    @Test("a name that is not there is not removed, nor anything else in its place")
    func absent() {
        var index = NameIndex()
        index.insert("/queue/a", at: 0)
        index.remove("/queue/b")
        #expect(index.find("/queue/a".utf8.span.bytes) == 0)
        #expect(index.find("/queue/".utf8.span.bytes) == nil)
        #expect(index.find("/queue/a\0".utf8.span.bytes) == nil)
        #expect(index.find("".utf8.span.bytes) == nil)
    }

    @Test("names of every length, and those that differ in any one byte", arguments: 1...100)
    func lengths(length: Int) {
        // All collide, so that only their bytes tell them apart.
        var index = NameIndex(hashMask: 0)
        let name = String(repeating: "n", count: length)
        index.insert(name, at: 1)
        for place in 0..<length {
            var other = Array(name.utf8)
            other[place] = 0
            #expect(index.find(other.span.bytes) == nil)
            index.insert(String(decoding: other, as: UTF8.self), at: 2 + place)
        }
        #expect(index.find(name.utf8.span.bytes) == 1)
        for place in 0..<length {
            var other = Array(name.utf8)
            other[place] = 0
            #expect(index.find(other.span.bytes) == 2 + place)
        }
    }
}

/// Names get hashes that differ, and that nobody outside can know.
@Suite struct NameHashTests {
    @Test("names that differ in a byte, or only in their length, get different hashes")
    func differ() {
        var hash = NameHash()
        hash.cover(byteCount: 300)
        var names: Set<[UInt8]> = []
        for length in 0...300 {
            names.insert(Array(repeating: 0, count: length))
            names.insert(Array(repeating: 110, count: length))
            for place in stride(from: length % 7, to: length, by: 7) {
                var name = [UInt8](repeating: 110, count: length)
                name[place] = 0
                names.insert(name)
            }
        }
        let hashes = Set(names.map { hash.hash($0.span.bytes) })
        // Two of seven thousand agree in one run of two hundred.
        #expect(names.count - hashes.count <= 2)
    }

    @Test("longer names do not change the hashes of shorter ones")
    func cover() {
        var hash = NameHash()
        let name = Array("/queue/orders".utf8)
        let before = hash.hash(name.span.bytes)
        hash.cover(byteCount: 1000)
        #expect(hash.coveredBytes >= 1000)
        #expect(hash.hash(name.span.bytes) == before)
    }

    @Test("each hash has keys of its own")
    func keys() {
        let name = Array("/queue/orders".utf8)
        let hashes = Set((0..<100).map { _ in NameHash().hash(name.span.bytes) })
        #expect(hashes.count > 90)
    }
}
