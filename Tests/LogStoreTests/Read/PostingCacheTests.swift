import Base
import Testing

@testable import LogStore

@Suite struct PostingCacheTests {
    private func list(_ count: Int) -> Postings {
        Postings(first: 1, offsets: Array(repeating: 64, count: count))
    }

    @Test("the lists used longest ago go first, half of the bytes at once")
    func leastRecentlyUsed() {
        // Room for four lists of ten.
        var cache = PostingCache(bytesMax: 4 * (10 * 4 + 64))
        for segment in UInt32(1)...4 { cache.insert(list(10), segment: segment, queue: QueueID(1)) }
        for segment in UInt32(1)...2 {
            expectHolds(cache.find(segment: segment, queue: QueueID(1)) != nil)
        }
        cache.insert(list(10), segment: 5, queue: QueueID(1))
        let held = (UInt32(1)...5).filter { cache.find(segment: $0, queue: QueueID(1)) != nil }
        expectHolds(held == [2, 5])
    }

    @Test("a list over the bound is held alone")
    func tooLarge() {
        var cache = PostingCache(bytesMax: 10)
        cache.insert(list(1), segment: 1, queue: QueueID(1))
        cache.insert(list(1_000), segment: 1, queue: QueueID(2))
        expectHolds(cache.find(segment: 1, queue: QueueID(1)) == nil)
        expectHolds(cache.find(segment: 1, queue: QueueID(2))?.offsets.count == 1_000)
    }

    @Test("a list that is replaced counts once")
    func replaced() {
        var cache = PostingCache(bytesMax: 2 * (10 * 4 + 64))
        for _ in 0..<10 { cache.insert(list(10), segment: 1, queue: QueueID(1)) }
        cache.insert(list(10), segment: 2, queue: QueueID(1))
        expectHolds(cache.find(segment: 1, queue: QueueID(1)) != nil)
    }
}
