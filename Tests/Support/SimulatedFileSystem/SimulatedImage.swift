/// The bytes of one file, which read as zeros wherever nothing was written.
///
/// The one place of the simulation that copies memory by hand: simulations run in debug builds,
/// where the collection algorithms copy byte by byte.
struct SimulatedImage: Sendable {
    /// Zero past the last written byte; grows by doubling.
    private var storage: [UInt8] = []

    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        guard source.count > 0 else { return }
        reserve(offset + source.count)
        storage.withUnsafeMutableBytes { target in
            UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + source.count])
                .copyMemory(from: source)
        }
    }

    /// Copies the bytes from `offset` on into `target`, whose size says how many.
    func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) {
        let known = min(max(storage.count - offset, 0), target.count)
        if known > 0 {
            storage.withUnsafeBytes { source in
                target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + known])
                )
            }
        }
        guard known < target.count else { return }
        UnsafeMutableRawBufferPointer(rebasing: target[known...]).initializeToZero()
    }

    /// Makes `range` equal to the same range of `other`.
    mutating func copy(_ range: Range<Int>, from other: SimulatedImage) {
        guard !range.isEmpty else { return }
        reserve(range.upperBound)
        storage.withUnsafeMutableBytes { target in
            other.read(
                at: range.lowerBound,
                into: UnsafeMutableRawBufferPointer(rebasing: target[range])
            )
        }
    }

    /// Forgets everything from `offset` on.
    mutating func zero(from offset: Int) {
        zero(offset..<max(storage.count, offset))
    }

    mutating func zero(_ range: Range<Int>) {
        let known = range.clamped(to: 0..<storage.count)
        guard !known.isEmpty else { return }
        storage.withUnsafeMutableBytes { target in
            UnsafeMutableRawBufferPointer(rebasing: target[known]).initializeToZero()
        }
    }

    mutating func flipBit(_ bit: Int, at offset: Int) {
        reserve(offset + 1)
        storage[offset] ^= 1 << UInt8(bit)
    }

    func bytes(_ range: Range<Int>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(buffer))
            count = range.count
        }
    }

    private mutating func reserve(_ count: Int) {
        guard count > storage.count else { return }
        let old = storage
        let capacity = max(count, old.count * 2, 4_096)
        storage = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
            let target = UnsafeMutableRawBufferPointer(buffer)
            old.withUnsafeBytes { target.copyMemory(from: $0) }
            UnsafeMutableRawBufferPointer(rebasing: target[old.count...]).initializeToZero()
            initialized = capacity
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate func initializeToZero() {
        guard count > 0 else { return }
        initializeMemory(as: UInt8.self, repeating: 0)
    }
}
