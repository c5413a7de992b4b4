import Base

/// Reads a packed segment: finds records by the offsets that they had in the sealed one.
///
/// Holds one block in memory. Confinement: whoever made it.
struct PackedReader<Files: FileSystem> {
    private var reader: BlockReader<Files>
    private let seed: UInt32
    let header: PackedHeader
    private let layout: PackedLayout
    var index: PackedIndex { layout.index }
    /// What is damaged beside blocks: such blocks as nothing tells of any more, header and index.
    var faults: [(range: Range<Int>, reason: String)] { layout.faults }
    /// The plain bytes of the block that was loaded last.
    private(set) var plain: [UInt8] = []
    /// The records in it: offset in the sealed segment, and place in `plain`.
    private(set) var places: [(offset: Int, local: Int)] = []
    private var loaded: Int?

    var fileBytes: Int { reader.size }
    /// Whether the disk refused some bytes; another time it may give them.
    var hasMissedBytes: Bool { reader.hasMissedBytes }

    /// Opens a packed segment; nil if it is another file's, or if nothing sound is left in it.
    ///
    /// The header's fields stand elsewhere, too, and the index can be made from the blocks; so both may
    /// be damaged, and `faults` tell.
    init?(
        _ files: Files,
        _ handle: Files.File,
        _ file: SegmentFile,
        store: StoreID,
        skipsBadSectors: Bool = true
    ) throws(FileError) {
        var reader = try BlockReader(
            files,
            handle,
            blockBytes: 256 << 10,
            skipsBadSectors: skipsBadSectors
        )
        let seed = store.seed(ofSegment: file.segment)
        let header = try Self.header(&reader)
        if let header, header.store != store || header.file != file { return nil }
        var layout: PackedLayout
        if let index = try Self.index(&reader, seed) {
            layout = PackedLayout(index.record, at: index.offset)
        } else {
            layout = try PackedLayout(rebuilding: &reader, seed)
            if layout.index.lines.isEmpty { return nil }
        }
        if header == nil {
            let range = 0..<PackedHeader.byteCount
            layout.faults.insert((range, "the header of the file is damaged"), at: 0)
        }
        self.reader = reader
        self.seed = seed
        // Without the header nobody needs to know more than that every record lies below it.
        let end = Int(layout.index.lines.last?.last ?? 0) + RecordHeader.byteCount
        self.header = header ?? PackedHeader(store: store, file: file, originalLength: end)
        self.layout = layout
    }

    private static func header(
        _ reader: inout BlockReader<Files>
    ) throws(FileError) -> PackedHeader? {
        guard try reader.load(0, PackedHeader.byteCount) else { return nil }
        do throws(SegmentHeader.Fault) {
            return try PackedHeader.decode(reader.window.span.bytes)
        } catch { return nil }
    }

    private static func index(
        _ reader: inout BlockReader<Files>,
        _ seed: UInt32
    ) throws(FileError) -> (record: PackedIndex, offset: Int)? {
        guard reader.size > PackedHeader.byteCount + 8, try reader.load(reader.size - 8, 8) else {
            return nil
        }
        let offset = reader.window.span.bytes.uint64(at: reader.size - 8 - reader.start)
        guard offset < UInt64(reader.size),
            let header = try reader.soundHeader(Int(offset), seed: seed),
            let index = PackedIndex(
                header,
                reader.window.span.bytes,
                at: Int(offset) - reader.start
            )
        else { return nil }
        return (index, Int(offset))
    }

    /// The bytes of the file in which a record of an offset stands, or stood, for reports.
    func fileRange(of offset: Int) -> Range<Int> {
        layout.range(of: offset, line: line(of: offset))
    }

    /// The bytes of the file that a block takes.
    func fileRange(ofBlock number: Int) -> Range<Int> { layout.spans[number] }

    /// Loads the block that holds the record of an offset; where it stands in `plain`, or nil if the
    /// block is damaged or the record was not packed.
    mutating func load(_ offset: Int) throws(FileError) -> Int? {
        guard let line = line(of: offset), try loadBlock(line) else { return nil }
        var low = 0
        var high = places.count
        while low < high {
            let middle = (low + high) / 2
            if places[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < places.count && places[low].offset == offset ? places[low].local : nil
    }

    private func line(of offset: Int) -> Int? {
        var low = 0
        var high = index.lines.count
        while low < high {
            let middle = (low + high) / 2
            if Int(index.lines[middle].last) < offset { low = middle + 1 } else { high = middle }
        }
        return low < index.lines.count && Int(index.lines[low].first) <= offset ? low : nil
    }

    /// Loads a block by its number; false if it is damaged.
    mutating func loadBlock(_ number: Int) throws(FileError) -> Bool {
        if loaded == number { return true }
        loaded = nil
        places = []
        guard let plain = try plain(at: index.lines[number].fileOffset) else { return false }
        self.plain = plain
        var at = 0
        while at + PackedBlock.placeByteCount < plain.count {
            let bytes = plain.span.bytes
            let offset = bytes.uint64(at: at)
            let local = at + PackedBlock.placeByteCount
            guard offset < UInt64(header.originalLength),
                let record = RecordHeader(bytes, at: local), local + record.length <= plain.count
            else { return false }
            places.append((Int(offset), local))
            at = local + record.length
        }
        loaded = number
        return true
    }

    private mutating func plain(at fileOffset: Int) throws(FileError) -> [UInt8]? {
        guard let header = try reader.soundHeader(fileOffset, seed: seed) else { return nil }
        return PackedBlock.decode(
            header,
            reader.window.span.bytes,
            at: fileOffset - reader.start
        )
    }

    /// The record of a place in the loaded block, if its own checksum holds.
    func record(at place: (offset: Int, local: Int)) -> RecordHeader? {
        let bytes = plain.span.bytes
        guard let header = RecordHeader(bytes, at: place.local),
            place.local + header.length <= bytes.byteCount,
            header.isSound(bytes, at: place.local, seed: seed, fileOffset: place.offset)
        else { return nil }
        return header
    }

    /// The posting list of one queue; nil if it is not listed or the footer is damaged.
    mutating func postings(of queue: QueueID) throws(FileError) -> Postings? {
        guard let (footer, bytes) = try footer(),
            let line = footer.lines.first(where: { $0.queue == queue })
        else { return nil }
        return SegmentFooter.postings(of: line, in: bytes.span.bytes, at: 0)
    }

    /// The posting list of one queue from the records themselves.
    mutating func rebuildPostings(of queue: QueueID) throws(FileError) -> Postings? {
        var first: UInt64?
        var offsets: [UInt32] = []
        for block in index.lines.indices where try loadBlock(block) {
            for place in places {
                guard let header = record(at: place),
                    let record = MessageRecord(header, plain.span.bytes, at: place.local)
                else { continue }
                for entry in 0..<record.entryCount {
                    let (id, sequence) = record.entry(entry, in: plain.span.bytes)
                    guard id == queue else { continue }
                    let begin = first ?? sequence.value
                    first = begin
                    guard sequence.value >= begin + UInt64(offsets.count) else { continue }
                    let gap = Int(sequence.value - begin) - offsets.count
                    offsets.append(contentsOf: repeatElement(0, count: gap))
                    offsets.append(UInt32(place.offset))
                }
            }
        }
        return first.map { Postings(first: $0, offsets: offsets) }
    }

    /// All posting lists; nil if they are damaged.
    mutating func allPostings() throws(FileError) -> [(queue: QueueID, postings: Postings)]? {
        guard let (footer, bytes) = try footer() else { return nil }
        return footer.lines.compactMap { line in
            SegmentFooter.postings(of: line, in: bytes.span.bytes, at: 0).map { (line.queue, $0) }
        }
    }

    /// The entries that the posting lists place in damaged bytes of the file.
    func lost(
        in range: Range<Int>,
        of lists: [(queue: QueueID, postings: Postings)]
    ) -> [(queue: QueueID, sequence: UInt64)] {
        lists.flatMap { list in
            list.postings.entries(of: list.queue) { offset in
                range.overlaps(fileRange(of: offset))
            }
        }
    }

    /// The footer record, decoded, and its bytes.
    mutating func footer() throws(FileError) -> (SegmentFooter, [UInt8])? {
        guard let bytes = try plain(at: index.footerOffset) else { return nil }
        let span = bytes.span.bytes
        guard let header = RecordHeader(span, at: 0), header.length == bytes.count,
            header.isSound(span, at: 0, seed: seed, fileOffset: index.footerOffset),
            let footer = SegmentFooter(header, span, at: 0)
        else { return nil }
        return (footer, bytes)
    }
}

extension Postings {
    /// The entries whose record has one of some offsets.
    func entries(
        of queue: QueueID,
        where matches: (Int) -> Bool
    ) -> [(queue: QueueID, sequence: UInt64)] {
        offsets.indices.compactMap { index in
            let offset = Int(offsets[index])
            return offset != 0 && matches(offset) ? (queue, first + UInt64(index)) : nil
        }
    }
}
