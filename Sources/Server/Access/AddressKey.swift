import NIOCore

/// Where a client comes from, as limits and delays count it.
///
/// An IPv4 address, or the first 64 bits of an IPv6 address: whoever has one such address has them all.
struct AddressKey: Hashable, Sendable {
    private let isIPv4: Bool
    private let value: UInt64

    /// Nil for what is no internet address, which is not counted.
    init?(_ address: SocketAddress) {
        // Where `sockaddr_in` and `sockaddr_in6` have the address itself (ip(7), ipv6(7)).
        let place: Range<Int>
        switch address {
        case .v4: place = 4..<8
        case .v6: place = 8..<24
        case .unixDomainSocket: return nil
        }
        let bytes = address.withSockAddr { socketAddress, size in
            Array(UnsafeRawBufferPointer(start: socketAddress, count: size)[place])
        }
        self.init(bytes)
    }

    /// From the 4 or 16 bytes of an address.
    init(_ bytes: [UInt8]) {
        // `::ffff:a.b.c.d` is an IPv4 client on a socket for both.
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
        isIPv4 = bytes.count == 4 || bytes.starts(with: mapped)
        let counted = isIPv4 ? bytes.suffix(4) : bytes.prefix(8)
        value = counted.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// How many there are of each.
struct Counts<Key: Hashable> {
    private var counts: [Key: Int] = [:]

    subscript(key: Key) -> Int { counts[key] ?? 0 }

    /// Counts one more, unless there are as many as there may be; 0 = no limit.
    mutating func add(_ key: Key, max: Int) -> Bool {
        let count = self[key]
        guard max == 0 || count < max else { return false }
        counts[key] = count + 1
        return true
    }

    mutating func remove(_ key: Key) {
        let count = self[key]
        counts[key] = count > 1 ? count - 1 : nil
    }
}
