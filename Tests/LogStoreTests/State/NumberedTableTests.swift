import Base
import Testing
import TestSupport

@testable import LogStore

@Suite struct NumberedTableTests {
    @Test("it does as a dictionary does, seed by seed", arguments: 0..<20)
    func asDictionary(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var table = NumberedTable<Int>()
        var model: [UInt32: Int] = [:]
        var next: UInt32 = 1
        for step in 0..<2_000 {
            let known = model.keys.sorted().randomElement(using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                table[next] = step
                model[next] = step
                next += UInt32.random(in: 1...40, using: &generator)
            case 4..<6:
                guard let known else { continue }
                table[known] = step
                model[known] = step
            case 6:
                let number = UInt32.random(in: 0...next, using: &generator)
                table.update(number) { $0? += 7 }
                model[number]? += 7
            default:
                let number = known ?? 5
                table[number] = nil
                model[number] = nil
            }
        }
        #expect(table.count == model.count)
        #expect(table.numbers == model.keys.sorted())
        #expect(table.values == model.sorted { $0.key < $1.key }.map(\.value))
        #expect((0...next).allSatisfy { table[$0] == model[$0] })
    }

    @Test("the highest number takes little room")
    func highest() {
        var table = NumberedTable<Int>()
        table[.max] = 1
        #expect(table[.max] == 1 && table[.max - 1] == nil && table.numbers == [.max])
        table[.max] = nil
        #expect(table.count == 0 && table.values == [])
    }

    @Test("what was taken away leaves no difference")
    func equality() {
        var one = NumberedTable<Int>()
        var other = NumberedTable<Int>()
        one[3] = 1
        other[3] = 1
        other[70_000] = 2
        #expect(one != other)
        other[70_000] = nil
        #expect(one == other)
        other[3] = 2
        #expect(one != other)
    }
}
