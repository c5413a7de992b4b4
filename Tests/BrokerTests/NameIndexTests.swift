import Base
import Testing

@testable import Broker

/// Names come and go, and each is found at its place and nowhere else.
@Suite struct NameIndexTests {
    @Test("against a dictionary: insertions, removals, look-ups in random order", arguments: 0..<8)
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var index = NameIndex()
        var places: [String: Int] = [:]
        var names: [Int: String] = [:]
        for step in 0..<20_000 {
            // Short ones and long ones, and many that differ in one byte only.
            let number = Int.random(in: 0..<400, using: &generator)
            let name = "/queue/" + String(repeating: "n", count: number % 23) + "\(number)"
            if let place = places[name] {
                if Bool.random(using: &generator) {
                    index.remove(name, at: place)
                    places[name] = nil
                    names[place] = nil
                }
            } else {
                index.insert(name, at: step)
                places[name] = step
                names[step] = name
            }
            let asked = "/queue/" + String(repeating: "n", count: step % 23) + "\(step % 400)"
            #expect(index.find(asked.utf8.span.bytes) { names[$0] ?? "" } == places[asked])
        }
    }

    @Test("a name that is not there is not removed, nor anything else in its place")
    func absent() {
        var index = NameIndex()
        index.insert("/queue/a", at: 0)
        index.remove("/queue/b", at: 1)
        #expect(index.find("/queue/a".utf8.span.bytes) { _ in "/queue/a" } == 0)
        #expect(index.find("/queue/".utf8.span.bytes) { _ in "/queue/a" } == nil)
        #expect(index.find("".utf8.span.bytes) { _ in "/queue/a" } == nil)
    }
}
