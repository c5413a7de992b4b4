import Base

/// One file apart from its name: what readers see, and what a power cut would leave.
///
/// Invariants: `shortest <= length` and `shortest <= stableLength`; a sector that is neither unsynced
/// nor given up by a failed sync is the same in both images; both images are zero past their length,
/// but for early written-back sectors of a growing file.
struct SimulatedInode: Sendable {
    /// The unit of space accounting, as on the usual file systems.
    static let blockSizeBytes = 4_096

    let sectorSizeBytes: Int
    /// What readers see: the page cache.
    private var image = SimulatedImage()
    private(set) var length = 0
    /// What a power cut leaves for certain.
    private var stable = SimulatedImage()
    private(set) var stableLength = 0
    /// The smallest length since the last sync: a cut below `stableLength` is known by it.
    private var shortest = 0
    /// Sectors written since the last sync, in the order of their first write, and a flag for each.
    private var unsynced: [Int] = []
    private var isUnsynced: [Bool] = []
    private var isAllocated: [Bool] = []
    private(set) var allocatedBytes = 0

    init(sectorSizeBytes: Int) {
        self.sectorSizeBytes = sectorSizeBytes
    }

    func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(max(length - offset, 0), target.count)
        guard count > 0 else { return 0 }
        image.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
        return count
    }

    func contents() -> [UInt8] { image.bytes(0..<length) }

    func stableContents() -> [UInt8] { stable.bytes(0..<stableLength) }

    // MARK: - Writing

    /// Writes into the volatile image.
    ///
    /// `writesBackEarly` lets what was unsynced in the touched sectors reach the disk first, as the
    /// kernel may at any time.
    mutating func write(
        _ source: UnsafeRawBufferPointer,
        at offset: Int,
        writesBackEarly: Bool
    ) {
        guard source.count > 0 else { return }
        let end = offset + source.count
        let canWriteBack = writesBackEarly && shortest >= stableLength
        for sector in offset / sectorSizeBytes...(end - 1) / sectorSizeBytes {
            while sector >= isUnsynced.count { isUnsynced.append(false) }
            if !isUnsynced[sector] {
                isUnsynced[sector] = true
                unsynced.append(sector)
            } else if canWriteBack {
                stable.copy(bytes(of: sector), from: image)
            }
        }
        image.write(source, at: offset)
        length = max(length, end)
        allocate(offset..<end)
    }

    mutating func truncate(to newLength: Int) {
        if newLength < length {
            image.zero(from: newLength)
            let firstFree = (newLength + Self.blockSizeBytes - 1) / Self.blockSizeBytes
            for block in firstFree..<max(isAllocated.count, firstFree) where isAllocated[block] {
                isAllocated[block] = false
                allocatedBytes -= Self.blockSizeBytes
            }
            if newLength >= stableLength { stable.zero(from: newLength) }
        }
        length = newLength
        shortest = min(shortest, newLength)
    }

    /// Bytes of disk that a write of `range` would take.
    func missingBytes(for range: Range<Int>) -> Int {
        guard !range.isEmpty else { return 0 }
        return Self.blocks(of: range).count { $0 >= isAllocated.count || !isAllocated[$0] }
            * Self.blockSizeBytes
    }

    private mutating func allocate(_ range: Range<Int>) {
        for block in Self.blocks(of: range) {
            while block >= isAllocated.count { isAllocated.append(false) }
            if !isAllocated[block] {
                isAllocated[block] = true
                allocatedBytes += Self.blockSizeBytes
            }
        }
    }

    private static func blocks(of range: Range<Int>) -> ClosedRange<Int> {
        range.lowerBound / blockSizeBytes...(range.upperBound - 1) / blockSizeBytes
    }

    // MARK: - Syncing

    /// Makes bytes and length durable.
    mutating func sync() {
        if shortest < stableLength { stable.zero(from: shortest) }
        copyToStable(unsynced)
        markSynced()
        stableLength = length
        shortest = length
    }

    /// A failed sync: some unsynced sectors reach the disk, the others never will unless they are
    /// written again, and nothing remembers that they are missing.
    mutating func failSync(_ generator: inout SeededGenerator) {
        writeBackSome(&generator)
        markSynced()
    }

    /// Lets some unsynced sectors reach the disk, as a sync does that a crash interrupts.
    mutating func writeBackSome(_ generator: inout SeededGenerator) {
        guard shortest >= stableLength else { return }
        copyToStable(survivors(&generator))
    }

    private mutating func markSynced() {
        for sector in unsynced { isUnsynced[sector] = false }
        unsynced.removeAll(keepingCapacity: true)
    }

    /// Copies sectors, neighbours in one go.
    private mutating func copyToStable(_ sectors: [Int]) {
        guard var run = sectors.first.map({ $0..<$0 }) else { return }
        for sector in sectors {
            if sector != run.upperBound {
                stable.copy(bytes(of: run), from: image)
                run = sector..<sector
            }
            run = run.lowerBound..<sector + 1
        }
        stable.copy(bytes(of: run), from: image)
    }

    // MARK: - Power cut

    /// Leaves what a power cut leaves.
    ///
    /// `lastWrite` is the last write to this file if it was the last one of all, which may be torn
    /// inside a sector.
    mutating func crash(lastWrite: Range<Int>?, _ generator: inout SeededGenerator) {
        var kept = survivors(&generator)
        let isCutLost = shortest < stableLength && generator.oneIn(2)
        if isCutLost {
            kept.removeAll { ($0 + 1) * sectorSizeBytes > shortest }
        } else {
            if shortest < stableLength { stable.zero(from: shortest) }
            stableLength = survivingLength(&generator)
        }
        copyToStable(kept)
        if let lastWrite, !isCutLost, generator.oneIn(2) { tear(lastWrite, &generator) }
        stable.zero(from: stableLength)
        image = stable
        length = stableLength
        shortest = length
        markSynced()
    }

    /// What readers of `after` miss of this file, in words; nil if it is the same.
    func loss(to after: SimulatedInode?) -> String? {
        guard let after else { return nil }
        let sectors = (max(length, after.length) + sectorSizeBytes - 1) / sectorSizeBytes
        let changed = (0..<sectors).filter { sector in
            image.bytes(bytes(of: sector)) != after.image.bytes(bytes(of: sector))
        }
        var parts: [String] = []
        if length != after.length { parts.append("\(length) bytes are \(after.length) now") }
        if let first = changed.first, let last = changed.last {
            parts.append(
                "\(changed.count) sectors between offsets \(first * sectorSizeBytes) and "
                    + "\((last + 1) * sectorSizeBytes) are not what was written"
            )
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    private func survivingLength(_ generator: inout SeededGenerator) -> Int {
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: shortest
        case 1: length
        default: Int.random(in: shortest...length, using: &generator)
        }
    }

    /// Draws the unsynced sectors that reached the disk: none, all, a part in the order of writing,
    /// the latest only, or each by chance.
    private func survivors(_ generator: inout SeededGenerator) -> [Int] {
        guard !unsynced.isEmpty else { return [] }
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: return []
        case 1: return unsynced
        case 2: return Array(unsynced.prefix(Int.random(in: 0...unsynced.count, using: &generator)))
        case 3: return Array(unsynced.suffix(Int.random(in: 0...unsynced.count, using: &generator)))
        case 4: return unsynced.filter { _ in generator.oneIn(2) }
        default: return unsynced.filter { _ in !generator.oneIn(8) }
        }
    }

    /// Tears a write: the sector in which it stopped holds new bytes up to some byte, then old ones.
    private mutating func tear(_ write: Range<Int>, _ generator: inout SeededGenerator) {
        let cut = Int.random(in: write, using: &generator)
        let sector = cut / sectorSizeBytes
        guard sector < isUnsynced.count, isUnsynced[sector] else { return }
        stable.copy(bytes(of: sector).lowerBound..<cut, from: image)
    }

    // MARK: - Damage

    mutating func flipBit(_ bit: Int, at offset: Int) {
        image.flipBit(bit, at: offset)
        stable.flipBit(bit, at: offset)
    }

    mutating func zeroSector(_ sector: Int) {
        image.zero(bytes(of: sector))
        stable.zero(bytes(of: sector))
    }

    mutating func swapSectors(_ first: Int, _ second: Int) {
        let (one, other) = (image.bytes(bytes(of: first)), image.bytes(bytes(of: second)))
        one.withUnsafeBytes { image.write($0, at: bytes(of: second).lowerBound) }
        other.withUnsafeBytes { image.write($0, at: bytes(of: first).lowerBound) }
        stable.copy(bytes(of: first), from: image)
        stable.copy(bytes(of: second), from: image)
    }

    private func bytes(of sector: Int) -> Range<Int> { bytes(of: sector..<sector + 1) }

    private func bytes(of sectors: Range<Int>) -> Range<Int> {
        sectors.lowerBound * sectorSizeBytes..<sectors.upperBound * sectorSizeBytes
    }
}
