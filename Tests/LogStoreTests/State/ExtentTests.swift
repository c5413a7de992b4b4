import Testing

@testable import LogStore

@Suite struct ExtentTests {
    private func extent(_ count: Int, bytes: Int = 10) -> Extent {
        var extent = Extent(segment: 1, first: 100)
        for _ in 0..<count { extent.append(bytes: bytes, time: 1, expires: 0) }
        return extent
    }

    @Test("entries settled in order need no bitmap")
    func inOrder() {
        var extent = extent(200)
        for sequence in 100..<150 as Range<UInt64> {
            expectHolds(extent.settle(sequence, bytes: 10) == (true, 10))
        }
        #expect(extent.settledState == (50, []))
        #expect(extent.liveCount == 150)
        #expect(extent.liveBytes == 1_500)
        #expect(extent.firstUnsettled(from: 0) == 150)
    }

    @Test("settling again changes nothing", arguments: [100, 163, 164, 199] as [UInt64])
    func again(sequence: UInt64) {
        var extent = extent(100)
        expectHolds(extent.settle(sequence, bytes: nil).isNew)
        expectHolds(!extent.settle(sequence, bytes: nil).isNew)
        #expect(extent.settledCount == 1)
        #expect(extent.liveBytes == 990)
    }

    @Test("the prefix swallows entries that were settled before their turn")
    func prefixGrows() {
        var extent = extent(130)
        for sequence in (101..<229 as Range<UInt64>) { _ = extent.settle(sequence, bytes: nil) }
        #expect(extent.settledState.prefix == 0)
        _ = extent.settle(100, bytes: nil)
        #expect(extent.settledState.prefix == 129)
        #expect(extent.firstUnsettled(from: 0) == 229)
        #expect(!extent.isSettled)
        _ = extent.settle(229, bytes: nil)
        #expect(extent.isSettled)
        #expect(extent.liveBytes == 0)
    }

    @Test("the first unsettled entry is found across words of the bitmap")
    func findsAcrossWords() {
        var extent = extent(200)
        for sequence in (110..<290 as Range<UInt64>) { _ = extent.settle(sequence, bytes: nil) }
        #expect(extent.firstUnsettled(from: 110) == 290)
        #expect(extent.firstUnsettled(from: 105) == 105)
        #expect(extent.firstUnsettled(from: 299) == 299)
        #expect(extent.firstUnsettled(from: 300) == nil)
    }

    @Test("an extent that grows after a settle out of order keeps a bit for every entry")
    func grows() {
        var extent = extent(64)
        _ = extent.settle(163, bytes: nil)
        extent.append(bytes: 10, time: 1, expires: 0)
        #expect(extent.settledState.bitmap.count == 2)
        #expect(extent.firstUnsettled(from: 163) == 164)
        expectHolds(extent.settle(164, bytes: nil).isNew)
    }

    @Test("what a checkpoint stores comes back, and contradictions do not")
    func restores() throws {
        var extent = extent(70)
        for sequence in [100, 101, 130, 169] as [UInt64] { _ = extent.settle(sequence, bytes: 10) }
        let (prefix, bitmap) = extent.settledState
        func restored(count: UInt32 = 70, prefix: UInt32, bitmap: [UInt64]) -> Extent? {
            Extent(
                segment: 1,
                first: 100,
                count: count,
                liveBytes: 660,
                times: ExtentTimes(),
                prefix: prefix,
                bitmap: bitmap
            )
        }
        let again = try #require(restored(prefix: prefix, bitmap: bitmap))
        #expect(again.settledCount == 4)
        #expect((100..<170).allSatisfy { again.isSettled($0) == extent.isSettled($0) })
        #expect(restored(prefix: 71, bitmap: []) == nil)
        #expect(restored(prefix: 0, bitmap: [1]) == nil)
        #expect(restored(prefix: 0, bitmap: [1, 1, 1]) == nil)
        #expect(restored(prefix: 70, bitmap: []) == nil, "nothing unsettled is no extent")
    }
}
