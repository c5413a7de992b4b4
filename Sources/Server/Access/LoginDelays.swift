import Base

/// How long each address waits for the answer to a login that failed: longer each time.
///
/// A login that succeeds waits for nothing, whatever failed before it.
struct LoginDelays {
    private struct Entry {
        var count: Int
        var last: MonotonicTime
    }

    private var entries: [AddressKey: Entry] = [:]
    private var nextSearch = MonotonicTime(nanoseconds: 0)

    /// The first failure costs this, each further one twice the last, up to the largest.
    static let delayMin = Interval.seconds(1)
    static let delayMax = Interval.seconds(5)
    /// An address without a failure for so long begins anew.
    static let memory = Interval.seconds(300)
    /// Each costs about 50 bytes; past it others are forgotten.
    static let addressesMax = 10_000
    private static let searchInterval = Interval.seconds(1)

    var count: Int { entries.count }

    /// Counts a failure; returns how long its answer waits, from when the login was received.
    mutating func failed(_ address: AddressKey?, now: MonotonicTime) -> Interval {
        guard let address else { return Self.delayMin }
        makeRoom(for: address, now: now)
        var entry = entries[address] ?? Entry(count: 0, last: now)
        if now.since(entry.last) >= Self.memory { entry.count = 0 }
        entry.count += 1
        entry.last = now
        entries[address] = entry
        let doublings = min(entry.count - 1, 16)
        return min(
            Interval(nanoseconds: Self.delayMin.nanoseconds << UInt64(doublings)),
            Self.delayMax
        )
    }

    private mutating func makeRoom(for address: AddressKey, now: MonotonicTime) {
        guard entries.count >= Self.addressesMax, entries[address] == nil else { return }
        if now >= nextSearch {
            nextSearch = now.advanced(by: Self.searchInterval)
            entries = entries.filter { now.since($0.value.last) < Self.memory }
        }
        if entries.count >= Self.addressesMax, let any = entries.keys.first { entries[any] = nil }
    }
}
