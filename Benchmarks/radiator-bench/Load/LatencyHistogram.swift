/// Counts of durations in logarithmic buckets; under 1 % error, constant memory.
struct LatencyHistogram: Sendable {
    /// Each power of two is cut into this many equal parts.
    private static let partBits = 7
    private static let bucketCount = (64 - partBits + 1) << partBits

    private var counts = [UInt64](repeating: 0, count: bucketCount)
    private(set) var total: UInt64 = 0

    mutating func record(nanoseconds: UInt64) {
        counts[Self.bucket(of: nanoseconds)] += 1
        total += 1
    }

    mutating func add(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        total += other.total
    }

    /// The duration that the given share of all stayed at or below; 0 when nothing was recorded.
    func percentile(_ share: Double) -> UInt64 {
        guard total > 0 else { return 0 }
        let rank = UInt64((Double(total) * share).rounded(.up))
        var seen: UInt64 = 0
        for (index, count) in counts.enumerated() {
            seen += count
            if seen >= rank, count > 0 { return Self.upperBound(of: index) }
        }
        return Self.upperBound(of: counts.count - 1)
    }

    func microseconds(_ share: Double) -> Double { Double(percentile(share)) / 1000 }

    private static func bucket(of value: UInt64) -> Int {
        let exponent = UInt64.bitWidth - 1 - value.leadingZeroBitCount
        guard exponent > partBits else { return Int(value) }
        let shift = exponent - partBits
        return (shift << partBits) + Int(value >> UInt64(shift))
    }

    private static func upperBound(of bucket: Int) -> UInt64 {
        guard bucket >= 2 << partBits else { return UInt64(bucket) }
        let shift = (bucket >> partBits) - 1
        let part = bucket - (shift << partBits)
        return (UInt64(part + 1) << UInt64(shift)) - 1
    }
}
