import Base
import Testing

@testable import LogStore

@Suite struct SegmentTableTests {
    private func table(sealed count: UInt32) -> SegmentTable {
        var table = SegmentTable()
        for number in 1...count {
            table.begin(number)
            table.extentBegan(in: number)
            table.seal(number, length: 1_000, footerOffset: 900)
        }
        return table
    }

    @Test("a segment with a live extent, or still active, is not dead")
    func alive() {
        var table = table(sealed: 2)
        table.begin(3)
        table.extentBegan(in: 3)
        table.extentEnded(in: 3)
        #expect(table.dead.isEmpty)
        table.seal(3, length: 100, footerOffset: 64)
        #expect(table.dead == [3])
    }

    @Test("a dead segment goes once every kept checkpoint leaves it out")
    func twoSteps() {
        var table = table(sealed: 2)
        table.extentEnded(in: 1)
        table.drop(table.dead, at: 7)
        #expect(table[1] == nil)
        #expect(table.absent.map(\.segment) == [1])
        expectHolds(table.takeRemovable(oldestCheckpoint: 6) == [])
        expectHolds(table.takeRemovable(oldestCheckpoint: 7).map(\.segment) == [1])
        expectHolds(table.takeRemovable(oldestCheckpoint: 8) == [])
        #expect(table.absent.map(\.segment) == [1], "its file may still be there")
        table.left(SegmentFile(segment: 1, generation: 0))
        #expect(table.absent == [])
    }

    @Test("the form that a packed one replaces goes by the same two steps; the segment stays")
    func replacedForm() {
        var table = table(sealed: 1)
        let sealed = SegmentFile(segment: 1, generation: 0)
        let packed = SegmentFile(segment: 1, generation: table.takeGeneration())
        table.pack(packed, bytes: 50, liveBytes: 20)
        #expect(table[1]?.file == packed)
        #expect(table.hasFilesToLeave)
        table.drop(table.dead, at: 3)
        expectHolds(table.takeRemovable(oldestCheckpoint: 2) == [])
        expectHolds(table.takeRemovable(oldestCheckpoint: 3) == [sealed])
        table.extentEnded(in: 1)
        table.drop(table.dead, at: 4)
        expectHolds(table.takeRemovable(oldestCheckpoint: 4) == [packed])
        expectHolds(table.takeGeneration() == packed.generation + 1)
    }

    @Test("a form that serves again, as the one in its place is missing, does not go")
    func servesAgain() {
        var table = table(sealed: 1)
        let sealed = SegmentFile(segment: 1, generation: 0)
        let packed = SegmentFile(segment: 1, generation: table.takeGeneration())
        table.pack(packed, bytes: 50, liveBytes: 20)
        table.drop(table.dead, at: 3)
        table.serve(sealed, bytes: 0, liveBytes: 0)
        expectHolds(table.takeRemovable(oldestCheckpoint: 4) == [])
        #expect(table[1]?.file == sealed)
    }

    @Test("a time that has passed is not kept for a checkpoint; the next tick notes a new one")
    func passedTime() {
        var table = table(sealed: 1)
        table.noteTime(WallTime(milliseconds: 1_000))
        expectHolds(table[1]?.settledMilliseconds == 1_000)
        table.touch(1)
        table.forgetPassedTimes()
        expectHolds(table[1]?.settledMilliseconds == 0)
        table.noteTime(WallTime(milliseconds: 3_000))
        expectHolds(table[1]?.settledMilliseconds == 3_000)
    }

    @Test("extents are counted where they began, sealed or not")
    func extents() {
        var table = SegmentTable()
        for number: UInt32 in 1...3 { table.begin(number) }
        for (number, count) in [(1, 3), (2, 2), (1, 1), (3, 1)] as [(UInt32, Int)] {
            for _ in 0..<count { table.extentBegan(in: number) }
        }
        table.extentEnded(in: 3)
        table.extentEnded(in: 1)
        #expect(table.infos.map(\.liveExtents) == [3, 2, 0])
        expectHolds(table[1]?.liveExtents == 3 && table[3]?.liveExtents == 0)
        for number: UInt32 in 1...3 { table.seal(number, length: 10, footerOffset: 5) }
        #expect(table.dead == [3])
        table.extentEnded(in: 2)
        #expect(table.dead == [3])
        table.extentEnded(in: 2)
        #expect(table.dead == [2, 3])
        // A start puts entries back into segments that are sealed already.
        table.extentBegan(in: 1)
        for _ in 0..<4 { table.extentEnded(in: 1) }
        #expect(table.dead == [1, 2, 3])
        #expect(table.infos.map(\.liveExtents) == [0, 0, 0])
    }

    @Test("a segment that a checkpoint gives back without an extent is dead at once")
    func restored() {
        var table = SegmentTable()
        table.restore(SegmentInfo(number: 4, length: 10, footerOffset: 0, liveExtents: 0))
        table.restore(SegmentInfo(number: 5, length: 0, footerOffset: 0, liveExtents: 0))
        #expect(table.dead == [4])
        table.restoreDropped(SegmentFile(segment: 3, generation: 0), checkpoint: 9)
        expectHolds(table.takeRemovable(oldestCheckpoint: 9).map(\.segment) == [3])
        #expect(table.highest == 5)
    }
}

@Suite struct SpaceAccountTests {
    @Test("what is claimed after the question is taken from the answer")
    func claims() {
        var space = SpaceAccount()
        #expect(space.freeBytes == nil)
        space.claim(500)
        expectHolds(space.ask())
        expectHolds(!space.ask())
        space.claim(100)
        space.answer(1_000)
        #expect(space.freeBytes == 900)
        space.claim(1_000)
        #expect(space.freeBytes == 0)
        expectHolds(space.ask())
        space.answer(1_000)
        #expect(space.freeBytes == 1_000)
    }

    @Test("a write without space makes the disk full until the next answer")
    func ranOut() {
        var space = SpaceAccount()
        _ = space.ask()
        space.answer(1_000)
        space.ranOut()
        #expect(space.freeBytes == 0)
        _ = space.ask()
        space.answer(nil)
        #expect(space.freeBytes == nil)
    }
}
