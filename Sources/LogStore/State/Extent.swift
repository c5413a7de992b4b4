/// Bounds on the times of an extent's messages, in ms since 1970.
struct ExtentTimes: Equatable {
    /// When the first of them expires; `.max` = none ever does.
    var expires = UInt64.max
    /// When the first of them was taken.
    var taken = UInt64.max

    @inline(__always)
    mutating func add(time: UInt64, expires: UInt64) {
        if time < taken { taken = time }
        if expires != 0, expires < self.expires { self.expires = expires }
    }
}

/// A run of consecutive entries of one queue whose messages stand in one segment.
///
/// Invariants: `settledCount <= count`; the first `settledPrefix` entries are settled; `bitmap` is
/// empty or has a bit for every entry, set where it is settled; bits below the prefix may be unset.
struct Extent {
    let segment: UInt32
    let first: UInt64
    private(set) var count: UInt32
    private(set) var settledCount: UInt32 = 0
    /// Headers and bodies of the entries that are not settled.
    private(set) var liveBytes: UInt64
    /// What is known of the messages' times, settled ones included.
    private(set) var times: ExtentTimes
    private var settledPrefix: UInt32 = 0
    private var bitmap: [UInt64] = []

    init(
        segment: UInt32,
        first: UInt64,
        count: UInt32 = 0,
        liveBytes: UInt64 = 0,
        times: ExtentTimes = ExtentTimes()
    ) {
        self.times = times
        self.segment = segment
        self.first = first
        self.count = count
        self.liveBytes = liveBytes
    }

    var end: UInt64 { first + UInt64(count) }
    var liveCount: UInt32 { count - settledCount }
    var isSettled: Bool { settledCount == count }

    /// The settled state as a checkpoint stores it.
    var settledState: (prefix: UInt32, bitmap: [UInt64]) { (settledPrefix, bitmap) }

    /// Adds the entry at `end`.
    @inline(__always)
    mutating func append(bytes: Int, time: UInt64, expires: UInt64) {
        count += 1
        times.add(time: time, expires: expires)
        liveBytes += UInt64(bytes)
        if !bitmap.isEmpty && bitmap.count * 64 < Int(count) { bitmap.append(0) }
    }

    func isSettled(_ sequence: UInt64) -> Bool {
        let index = UInt32(sequence - first)
        if index < settledPrefix { return true }
        if bitmap.isEmpty { return false }
        return bitmap[Int(index / 64)] & (1 << UInt64(index % 64)) != 0
    }

    /// Settles one entry; false if it was settled before.
    ///
    /// `bytes` is its size, or nil for the average of what is left; the last one frees all that is left.
    mutating func settle(_ sequence: UInt64, bytes: Int?) -> (isNew: Bool, bytes: UInt64) {
        if isSettled(sequence) { return (false, 0) }
        let index = UInt32(sequence - first)
        let freed =
            liveCount == 1
            ? liveBytes : min(liveBytes, bytes.map(UInt64.init) ?? liveBytes / UInt64(liveCount))
        settledCount += 1
        liveBytes -= freed
        if index == settledPrefix {
            settledPrefix += 1
            while settledPrefix < count, isInBitmap(settledPrefix) { settledPrefix += 1 }
        } else {
            if bitmap.isEmpty { bitmap = Array(repeating: 0, count: (Int(count) + 63) / 64) }
            bitmap[Int(index / 64)] |= 1 << UInt64(index % 64)
        }
        return (true, freed)
    }

    /// The first entry from `sequence` on that is not settled, if the extent has one.
    @inline(__always)
    func firstUnsettled(from sequence: UInt64) -> UInt64? {
        var index = sequence > first ? UInt32(min(sequence - first, UInt64(count))) : 0
        index = max(index, settledPrefix)
        if index < count && !bitmap.isEmpty { return firstUnset(from: index) }
        return index < count ? first + UInt64(index) : nil
    }

    private func firstUnset(from start: UInt32) -> UInt64? {
        var index = start
        while index < count {
            let word = ~bitmap[Int(index / 64)] >> UInt64(index % 64)
            if word != 0 {
                index += UInt32(word.trailingZeroBitCount)
                return index < count ? first + UInt64(index) : nil
            }
            index = (index / 64 + 1) * 64
        }
        return nil
    }

    private func isInBitmap(_ index: UInt32) -> Bool {
        !bitmap.isEmpty && bitmap[Int(index / 64)] & (1 << UInt64(index % 64)) != 0
    }

    /// An extent as a checkpoint had it; nothing if the parts contradict each other.
    init?(
        segment: UInt32,
        first: UInt64,
        count: UInt32,
        liveBytes: UInt64,
        times: ExtentTimes,
        prefix: UInt32,
        bitmap: [UInt64]
    ) {
        guard prefix <= count, bitmap.isEmpty || bitmap.count == (Int(count) + 63) / 64 else {
            return nil
        }
        self.init(
            segment: segment,
            first: first,
            count: count,
            liveBytes: liveBytes,
            times: times
        )
        settledPrefix = prefix
        self.bitmap = bitmap
        settledCount = prefix
        for index in prefix..<count where isInBitmap(index) { settledCount += 1 }
        if settledCount == count { return nil }
    }
}
