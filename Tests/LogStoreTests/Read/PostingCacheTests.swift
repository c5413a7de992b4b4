import Base
import Testing

@testable import LogStore

@Suite struct PostingCacheTests {
    private func list(_ count: Int) -> Postings {
        Postings(first: 1, offsets: Array(repeating: 64, count: count))
    }

    @Test("the list used longest ago goes first")
    func leastRecentlyUsed() {
        // Room for two lists of ten.
        var cache = PostingCache(bytesMax: 2 * (10 * 4 + 64))
        cache.insert(list(10), segment: 1, queue: QueueID(1))
        cache.insert(list(10), segment: 2, queue: QueueID(1))
        expectHolds(cache.find(segment: 1, queue: QueueID(1)) != nil)
        cache.insert(list(10), segment: 3, queue: QueueID(1))
        expectHolds(cache.find(segment: 2, queue: QueueID(1)) == nil)
        expectHolds(cache.find(segment: 1, queue: QueueID(1)) != nil)
        expectHolds(cache.find(segment: 3, queue: QueueID(1)) != nil)
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
