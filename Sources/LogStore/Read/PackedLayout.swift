/// Where the blocks of a packed segment stand.
struct PackedLayout {
    let index: PackedIndex
    /// The bytes of each block of records.
    private(set) var spans: [Range<Int>]
    /// Where blocks end and something else begins: the posting lists, else the index, else the file's end.
    private let end: Int
    /// Damage that was found on the way.
    var faults: [(range: Range<Int>, reason: String)] = []

    /// By the index, which stands at `offset`.
    init(_ index: PackedIndex, at offset: Int) {
        self.index = index
        let starts = index.lines.map(\.fileOffset) + [index.footerOffset]
        spans = zip(starts, starts.dropFirst()).map { $0..<max($0, $1) }
        end = index.footerOffset
    }

    /// By the blocks themselves, where the index is damaged: what is no sound block is damage.
    ///
    /// Reads the whole file.
    init<Files: FileSystem>(
        rebuilding reader: inout BlockReader<Files>,
        _ seed: UInt32
    ) throws(FileError) {
        var index = PackedIndex()
        var spans: [Range<Int>] = []
        var faults: [(range: Range<Int>, reason: String)] = []
        var at = PackedHeader.byteCount
        var soundEnd = at
        while at + RecordHeader.byteCount <= reader.size {
            guard let header = try reader.soundHeader(at, seed: seed), header.kind == .block,
                let plain = PackedBlock.decode(
                    header,
                    reader.window.span.bytes,
                    at: at - reader.start
                )
            else {
                at += 8
                continue
            }
            if soundEnd < at { faults.append((soundEnd..<at, "a block is damaged")) }
            soundEnd = at + header.length
            if Self.isFooter(plain, at: at, seed: seed) {
                index.footerOffset = at
                break
            }
            if let (first, last) = Self.bounds(plain) {
                index.lines.append(.init(fileOffset: at, first: first, last: last))
                spans.append(at..<soundEnd)
            }
            at = soundEnd
        }
        faults.append((soundEnd..<max(soundEnd, reader.size), "the index is damaged"))
        self.index = index
        self.spans = spans
        self.faults = faults
        end = index.footerOffset > 0 ? index.footerOffset : reader.size
    }

    private static func isFooter(_ plain: [UInt8], at offset: Int, seed: UInt32) -> Bool {
        let bytes = plain.span.bytes
        guard let header = RecordHeader(bytes, at: 0), header.kind == .footer,
            header.length == plain.count
        else { return false }
        return header.isSound(bytes, at: 0, seed: seed, fileOffset: offset)
    }

    /// The offsets of the first and the last record in a block.
    private static func bounds(_ plain: [UInt8]) -> (first: UInt32, last: UInt32)? {
        let bytes = plain.span.bytes
        var first: UInt32?
        var last: UInt32 = 0
        var at = 0
        while at + PackedBlock.placeByteCount < plain.count {
            let local = at + PackedBlock.placeByteCount
            guard let header = RecordHeader(bytes, at: local) else { break }
            last = UInt32(truncatingIfNeeded: bytes.uint64(at: at))
            first = first ?? last
            at = local + header.length
        }
        return first.map { ($0, last) }
    }

    /// Where a record of an offset stands, or must have stood: in its block, or between the sound ones
    /// around it.
    func range(of offset: Int, line: Int?) -> Range<Int> {
        if let line { return spans[line] }
        let next = index.lines.firstIndex { Int($0.first) > offset }
        let before = (next ?? index.lines.count) - 1
        let start = before >= 0 ? spans[before].upperBound : PackedHeader.byteCount
        let stop = next.map { spans[$0].lowerBound } ?? end
        return start..<max(start, stop)
    }
}
