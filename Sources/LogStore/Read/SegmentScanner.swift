// Walks through a segment record by record and tells apart: its end, a torn tail, and damage.
//
// 1. Records stand in groups. A group's header says how long it is, its number follows the last one's,
//    and its epoch never falls, so what an earlier life of the file left behind is not read.
// 2. Bytes that are not what must stand there are *damage* if they were durable: a checkpoint or a
//    later group's header says so ("everything before D was durable when this was written").
// 3. Otherwise they are the *torn tail* of the last write, or, where a group would begin, simply the
//    end: nothing in them was ever confirmed.
// 4. After damage the scan goes on at the next sound record.

/// One thing that a scan meets.
package enum ScanEvent: Equatable, Sendable {
    case group(GroupRecord)
    /// A sound record other than a group's; its bytes are in the scanner's window.
    case record(RecordHeader)
    case damage(Range<Int>, String)
    case end(ScanEnd)
}

/// How a segment ends.
package enum ScanEnd: Equatable, Sendable {
    /// With its footer.
    case sealed(footerOffset: Int)
    /// After a complete group.
    case clean
    /// In the middle of a group that was never durable.
    case torn
}

/// What a scan must know from before: the log's state where it begins.
struct ScanStart {
    var offset = SegmentHeader.byteCount
    /// The number that the next group must have, or nil if any will do.
    var nextGroup: UInt64?
    var epoch: UInt64 = 0
    /// Everything before this position is known to be durable.
    var durable = LogPosition(value: 0)
    /// What came right before is not known, so that the first group's number may be higher.
    var mayJump = false
    /// A writer may be at work on the file, so that the window may be older than the file.
    var isLive = false
    /// What a checkpoint says of the groups behind its position.
    var floor: Floor?

    /// Groups from `offset` on have no lower number and epoch; what has is left over from an earlier life
    /// of the file.
    struct Floor {
        let offset: Int
        let nextGroup: UInt64
        let epoch: UInt64
    }
}

/// A scan through one segment file.
struct SegmentScanner<Files: FileSystem> {
    private(set) var reader: BlockReader<Files>
    let segment: UInt32
    let seed: UInt32
    /// Where the event that `next` returned last begins.
    private(set) var eventOffset: Int
    /// Where the scan goes on.
    private(set) var offset: Int
    private(set) var nextGroup: UInt64?
    private(set) var epoch: UInt64
    /// Everything before it is known to be durable, by what was given and by the groups met so far.
    private(set) var durable: LogPosition
    private var groupEnd: Int
    /// After damage: records count without knowing their group, up to the next group's header.
    private var isBetweenGroups = false
    private var footerOffset: Int?
    private let isLive: Bool
    private let floor: ScanStart.Floor?
    /// Where the file was read again because nothing sound stood there.
    private var rereadOffset = -1
    /// Where it was read once more because something later vouches for it.
    private var provenOffset = -1
    /// What `laterProof` found.
    private var proof: Proof?

    /// What the rest of the segment tells of itself.
    private struct Proof {
        /// Everything before it was durable.
        var durable: LogPosition
        /// No leftovers stand before it: the log reached that far, or the file was cut where it ended.
        var end: Int
    }

    init(
        _ reader: BlockReader<Files>,
        segment: UInt32,
        store: StoreID,
        start: ScanStart
    ) {
        self.reader = reader
        self.segment = segment
        seed = store.seed(ofSegment: segment)
        offset = start.offset
        eventOffset = start.offset
        nextGroup = start.nextGroup
        epoch = start.epoch
        durable = start.durable
        groupEnd = start.offset
        isBetweenGroups = start.mayJump
        isLive = start.isLive
        floor = start.floor
    }

    /// Where the current event's bytes begin in `reader.window`.
    var windowOffset: Int { eventOffset - reader.start }

    /// The next event.
    ///
    /// After `.end` there is none.
    mutating func next() throws(FileError) -> ScanEvent {
        eventOffset = offset
        if let footerOffset { return .end(.sealed(footerOffset: footerOffset)) }
        guard let header = try reader.soundHeader(offset, seed: seed) else { return try bad() }
        if header.kind == .group { return try group(header) }
        // Without a group that speaks for it, a sound record may be what an earlier life left behind.
        guard
            try isBetweenGroups
                ? isVouched(offset) : offset + header.length <= groupEnd
        else { return try bad() }
        // What vouched for it may have moved the window.
        if isBetweenGroups, try reader.soundHeader(offset, seed: seed) == nil { return try bad() }
        if header.kind == .footer { footerOffset = offset }
        offset += header.length
        return .record(header)
    }

    private mutating func group(_ header: RecordHeader) throws(FileError) -> ScanEvent {
        guard let group = GroupRecord(header, reader.window.span.bytes, at: windowOffset),
            isSuccessor(group)
        else { return try bad() }
        nextGroup = group.number + 1
        epoch = group.epoch
        durable = max(durable, group.durable)
        groupEnd = offset + group.groupBytes
        isBetweenGroups = false
        offset += header.length
        return .group(group)
    }

    /// Whether a group may stand here: right after the last one; or inside it, when a later opening of
    /// the store cut that one off here.
    private func isSuccessor(_ group: GroupRecord) -> Bool {
        guard mayStand(group, at: offset) else { return false }
        guard let nextGroup else { return true }
        if isBetweenGroups { return true }
        guard group.number == nextGroup else { return false }
        return offset == groupEnd || group.epoch > epoch
    }

    /// Decides between the end and damage where no fitting record stands.
    private mutating func bad() throws(FileError) -> ScanEvent {
        if isLive, rereadOffset != offset {
            rereadOffset = offset
            reader.forget()
            return try next()
        }
        let position = LogPosition(segment: segment, offset: offset)
        if durable.segment == segment || durable <= position {
            durable = max(durable, try laterProof().durable)
        }
        guard durable > position, offset < reader.size else {
            return .end(offset == groupEnd || isBetweenGroups ? .clean : .torn)
        }
        // What vouches for this place may have been written behind it only while it was looked for.
        if isLive, provenOffset != offset {
            provenOffset = offset
            reader.forget()
            return try next()
        }
        let start = offset
        var at = offset + 8
        while at + RecordHeader.byteCount <= reader.size {
            if let header = try reader.soundHeader(at, seed: seed), try isPlausible(header, at: at)
            {
                break
            }
            at += 8
        }
        // With nothing sound behind it, the log ends where it is last known to have been, not where the
        // file ends: what stands there may be left over, and must be written over.
        let end = durable.segment == segment ? min(durable.offset, reader.size) : reader.size
        offset = at + RecordHeader.byteCount <= reader.size ? at : end
        isBetweenGroups = true
        return .damage(start..<offset, "no record with a right checksum stands here")
    }

    /// Whether a sound record belongs to the log though its group's header is not there to say so.
    private mutating func isVouched(_ at: Int) throws(FileError) -> Bool {
        guard LogPosition(segment: segment, offset: at) < durable else { return false }
        guard let floor, at >= floor.offset, durable.segment > segment else { return true }
        // A later segment vouches for this one, but not for what stands in its file behind the log.
        return at < (try laterProof().end)
    }

    /// Whether a sound record can belong to the log here, and is no leftover.
    private mutating func isPlausible(_ header: RecordHeader, at: Int) throws(FileError) -> Bool {
        guard header.kind == .group else { return try isVouched(at) }
        guard let group = GroupRecord(header, reader.window.span.bytes, at: at - reader.start)
        else { return false }
        return mayStand(group, at: at)
    }

    /// Whether a group can belong to the log at all, and is no leftover.
    private func mayStand(_ group: GroupRecord, at offset: Int) -> Bool {
        guard group.epoch >= epoch, group.number >= (nextGroup ?? 0) else { return false }
        guard let floor, offset >= floor.offset else { return true }
        return group.epoch >= floor.epoch && group.number >= floor.nextGroup
    }

    /// What the rest of this segment vouches for.
    ///
    /// Reads to the file's end, once: the last group vouches for most, and what it vouches for holds
    /// for each damage before it.
    private mutating func laterProof() throws(FileError) -> Proof {
        if let proof { return proof }
        var best = Proof(durable: durable, end: try endsWithFooter() ? reader.size : 0)
        var at = offset + 8
        while try reader.load(at, GroupRecord.length) {
            let bytes = reader.window.span.bytes
            let local = at - reader.start
            if bytes.uint32(at: local + 4) == UInt32(GroupRecord.length),
                bytes.uint8(at: local + 8) == RecordKind.group.rawValue,
                let header = RecordHeader(bytes, at: local),
                header.isSound(bytes, at: local, seed: seed, fileOffset: at),
                let group = GroupRecord(header, bytes, at: local),
                mayStand(group, at: at)
            {
                best.durable = max(best.durable, group.durable)
                best.end = max(best.end, at + group.groupBytes)
            }
            at += 8
        }
        proof = best
        return best
    }

    /// Whether the file is cut right behind a sound footer, whose last eight bytes say where it begins.
    private mutating func endsWithFooter() throws(FileError) -> Bool {
        guard reader.size >= 8, try reader.load(reader.size - 8, 8) else { return false }
        let place = reader.window.span.bytes.uint64(at: reader.size - 8 - reader.start)
        guard let at = Int(exactly: place), at < reader.size,
            let header = try reader.soundHeader(at, seed: seed)
        else { return false }
        return header.kind == .footer && at + header.length == reader.size
    }
}
