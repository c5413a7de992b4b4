import Base
import Testing

@testable import Server

@Suite("Floods of log lines")
struct LineBudgetTests {
    private func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: 5_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("so many lines a second are written, the others are counted and told")
    func flood() {
        var budget = LineBudget(linesPerSecond: 3, now: at(0))
        var taken = 0
        for _ in 0..<10 where budget.take(at(10)) { taken += 1 }
        #expect(taken == 3)
        let early = budget.takeOmitted(at(999))
        #expect(early == nil)
        let isTaken = budget.take(at(1500))
        #expect(!isTaken)
        let omitted = [budget.takeOmitted(at(1600)), budget.takeOmitted(at(9000))]
        #expect(omitted == [8, nil])
        let isTakenAgain = budget.take(at(1700))
        #expect(isTakenAgain)
    }

    @Test("a line now and then is always written")
    func calm() {
        var budget = LineBudget(linesPerSecond: 1, now: at(0))
        var taken = 0
        for second in 1...20 where budget.take(at(UInt64(second) * 1000)) { taken += 1 }
        #expect(taken == 20)
        let omitted = budget.takeOmitted(at(60_000))
        #expect(omitted == nil)
    }
}
