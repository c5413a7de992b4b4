import Base
import Testing

@testable import Broker

/// A deque that keeps its first element in place is a deque like any other.
@Suite struct InlineDequeTests {
    @Test("against an array, step by step", arguments: 0..<8)
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var deque = InlineDeque<Int>()
        var model: [Int] = []
        for step in 0..<5_000 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                deque.append(step)
                model.append(step)
            case 4..<7:
                deque.removeFirst()
                if !model.isEmpty { model.removeFirst() }
            case 7 where !model.isEmpty:
                deque.replaceLast(-step)
                model[model.count - 1] = -step
            case 8:
                let divisor = Int.random(in: 2...5, using: &generator)
                deque.removeAll { $0 % divisor == 0 }
                model.removeAll { $0 % divisor == 0 }
            default:
                if Int.random(in: 0..<20, using: &generator) == 0 {
                    deque.removeAll()
                    model = []
                }
            }
            #expect(deque.first == model.first)
            #expect(deque.last == model.last)
            #expect(deque.count == model.count)
            #expect(deque.isEmpty == model.isEmpty)
        }
    }
}
