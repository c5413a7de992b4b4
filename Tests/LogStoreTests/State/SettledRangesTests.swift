import TestSupport
import Testing

@testable import LogStore

@Suite("Settled ranges")
struct SettledRangesTests {
    @Test("entries that follow each other are one run, any other begins one, in their order")
    func runs() {
        var ranges = SettledRanges()
        #expect(ranges.isEmpty && ranges.count == 0)
        for sequence: UInt64 in [5, 6, 7, 2, 9, 10, 3] { ranges.add(sequence) }
        let expected = [
            SequenceRange(first: 5, count: 3), SequenceRange(first: 2, count: 1),
            SequenceRange(first: 9, count: 2), SequenceRange(first: 3, count: 1),
        ]
        #expect((0..<ranges.count).map { ranges[$0] } == expected)
        let copied = SettledRanges(expected)
        #expect((0..<copied.count).map { copied[$0] } == expected)
    }

    @Test("nothing is left of what is forgotten, however much it was", arguments: [1, 2, 200])
    func forgotten(runs: Int) {
        var ranges = SettledRanges()
        for run in 0..<runs { ranges.add(UInt64(2 * run + 1)) }
        #expect(ranges.count == runs)
        ranges.removeAll()
        #expect(ranges.isEmpty && ranges.count == 0)
        // The entry after the last one forgotten is no part of that run.
        ranges.add(UInt64(2 * runs))
        #expect(ranges.count == 1 && ranges[0] == SequenceRange(first: UInt64(2 * runs), count: 1))
    }
}
