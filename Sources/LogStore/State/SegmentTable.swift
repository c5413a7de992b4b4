import Base

/// What is known of one segment file.
package struct SegmentInfo: Equatable, Sendable {
    package let number: UInt32
    /// Bytes of the file that count; 0 while it is active.
    package var length: Int
    /// Where the footer record begins; 0 while it is active, or if it has none.
    package var footerOffset: Int
    /// Extents of all queues in it that are not settled.
    package var liveExtents: Int
    /// The packed form that serves; 0 while that is the segment as it was written.
    package var generation: UInt32 = 0
    /// Bytes of the packed form, and about what it would have taken without compression.
    package var packedBytes = 0
    package var packedLiveBytes: UInt64 = 0
    /// When something in it was last settled, or else when it was sealed: ms since 1970, to about a
    /// second; 0 where that was not noted yet.
    package var settledMilliseconds: UInt64 = 0

    package var file: SegmentFile { SegmentFile(segment: number, generation: generation) }
    package var isSealed: Bool { length > 0 }
}

/// All segments by number, and which of their files nobody needs any more.
///
/// A file is dropped in two steps: when a checkpoint is taken, the file of a dead segment (sealed, no
/// extent, and its settled messages kept long enough) and the form of a segment that a packed one
/// replaced are left out of that checkpoint's table; once the older kept checkpoint leaves them out too, no way of opening the store needs them,
/// and the files may go.
struct SegmentTable {
    private var table = NumberedTable<SegmentInfo>()
    /// The segment that is not sealed and in which an extent began last; 0 = none.
    private var unsealed: UInt32 = 0
    /// How many extents more it has than its place in the table says.
    ///
    /// In queues that mostly hold nothing an extent begins and ends with every message.
    private var unsealedExtents = 0
    /// Files by the number of the first checkpoint that leaves them out.
    private(set) var dropped: [(file: SegmentFile, checkpoint: UInt64)] = []
    /// Dropped files that are being removed or recycled, and packed forms that are being made.
    private(set) var leaving: Set<SegmentFile> = []
    /// Forms of segments that another form replaced, and that no checkpoint has left out yet.
    private(set) var replaced: [SegmentFile] = []
    /// The number of the next packed form.
    private(set) var nextGeneration: UInt32 = 1
    /// Sealed segments without a live extent that no checkpoint has left out yet.
    private(set) var dead: Set<UInt32> = []
    /// Segments that were sealed, or in which something was settled, since `noteTime`.
    private(set) var touched: Set<UInt32> = []
    /// The segment touched last; a queue's settles mostly go to the segment of the one before.
    private var lastTouched: UInt32 = 0

    mutating func begin(_ number: UInt32) {
        table[number] = SegmentInfo(number: number, length: 0, footerOffset: 0, liveExtents: 0)
    }

    mutating func seal(_ number: UInt32, length: Int, footerOffset: Int) {
        if number == unsealed { closeUnsealed() }
        table.update(number) {
            $0?.length = length
            $0?.footerOffset = footerOffset
        }
        touch(number)
        if table[number]?.liveExtents == 0 { dead.insert(number) }
    }

    @inline(__always)
    mutating func extentBegan(in number: UInt32) {
        if number != unsealed { turn(to: number) }
        if number == unsealed {
            unsealedExtents += 1
        } else {
            table.update(number) { $0?.liveExtents += 1 }
        }
    }

    @inline(__always)
    mutating func extentEnded(in number: UInt32) {
        if number == unsealed { unsealedExtents -= 1 } else { uncountedExtentEnded(in: number) }
    }

    /// Counts extents that begin in a segment aside, if it is not sealed.
    private mutating func turn(to number: UInt32) {
        closeUnsealed()
        if table[number]?.isSealed == false { unsealed = number }
    }

    private mutating func closeUnsealed() {
        table.update(unsealed) { $0?.liveExtents += unsealedExtents }
        unsealed = 0
        unsealedExtents = 0
    }

    /// The same for a segment whose extents are not counted aside: mostly a sealed one.
    private mutating func uncountedExtentEnded(in number: UInt32) {
        var isDead = false
        table.update(number) {
            $0?.liveExtents -= 1
            isDead = $0?.liveExtents == 0 && $0?.isSealed == true
        }
        if isDead { dead.insert(number) }
    }

    /// Something in a segment was settled.
    @inline(__always)
    mutating func touch(_ number: UInt32) {
        guard number != lastTouched else { return }
        lastTouched = number
        touched.insert(number)
    }

    /// Notes the time with the segments that were touched; without a time they are only forgotten.
    ///
    /// No segment keeps a time that is still to come, which a clock that went back would leave it.
    /// Linear in the segments.
    mutating func noteTime(_ wall: WallTime?) {
        if let now = wall?.milliseconds {
            for info in table.values
            where touched.contains(info.number) || info.settledMilliseconds > now
                || (info.isSealed && info.settledMilliseconds == 0)
            {
                table.update(info.number) { $0?.settledMilliseconds = now }
            }
        }
        touched.removeAll(keepingCapacity: true)
        lastTouched = 0
    }

    /// Forgets the times that a checkpoint must not keep: something was settled since, and after a start
    /// from that checkpoint nothing would tell so.
    mutating func forgetPassedTimes() {
        for number in touched { table.update(number) { $0?.settledMilliseconds = 0 } }
    }

    /// A packed form serves for a segment from now on.
    mutating func pack(_ target: SegmentFile, bytes: Int, liveBytes: UInt64) {
        guard let info = table[target.segment] else { return }
        replaced.append(info.file)
        serve(target, bytes: bytes, liveBytes: liveBytes)
    }

    /// Has a form serve for its segment without giving up another one.
    mutating func serve(_ file: SegmentFile, bytes: Int, liveBytes: UInt64) {
        table.update(file.segment) {
            $0?.generation = file.generation
            $0?.packedBytes = bytes
            $0?.packedLiveBytes = liveBytes
        }
        // Another form was to go on serving, and this one to go; but that one is missing.
        dropped.removeAll { $0.file == file }
        replaced.removeAll { $0 == file }
        leaving.remove(file)
        note(file)
    }

    /// A form that is on disk and does not serve; it goes once checkpoints leave it out.
    mutating func replace(_ file: SegmentFile) {
        replaced.append(file)
        note(file)
    }

    /// Takes notice of a form, so that its number is not used again.
    mutating func note(_ file: SegmentFile) {
        nextGeneration = max(nextGeneration, file.generation + 1)
    }

    /// The number of a new packed form.
    mutating func takeGeneration() -> UInt32 {
        defer { nextGeneration += 1 }
        return nextGeneration
    }

    /// Leaves what nobody needs out of the table from the given checkpoint on; of the dead segments
    /// only those in `gone`.
    mutating func drop(_ gone: Set<UInt32>, at checkpoint: UInt64) {
        for number in gone.sorted() where dead.remove(number) != nil {
            guard let info = table[number] else { continue }
            table[number] = nil
            dropped.append((info.file, checkpoint))
        }
        for file in replaced { dropped.append((file, checkpoint)) }
        replaced = []
    }

    /// The dropped files that every kept checkpoint leaves out; `oldest` is the oldest of them.
    mutating func takeRemovable(oldestCheckpoint oldest: UInt64) -> [SegmentFile] {
        let removable = dropped.filter { $0.checkpoint <= oldest }.map(\.file)
        dropped.removeAll { $0.checkpoint <= oldest }
        leaving.formUnion(removable)
        return removable
    }

    /// A file that does not serve may be there: checkpoints tell that it is to go until it serves or is
    /// gone.
    mutating func leave(_ file: SegmentFile) { leaving.insert(file) }

    /// A dropped file is gone.
    mutating func left(_ file: SegmentFile) {
        leaving.remove(file)
    }

    /// Whether a checkpoint would bring files nearer to their end, apart from those of dead segments.
    var hasFilesToLeave: Bool { !replaced.isEmpty || !dropped.isEmpty }

    /// Bytes of packed forms whose predecessors some kept checkpoint still needs.
    var doubledBytes: Int {
        (replaced + dropped.map(\.file)).reduce(0) { $0 + (table[$1.segment]?.packedBytes ?? 0) }
    }

    /// Every file that is left out of checkpoints while it may still be there.
    var absent: [SegmentFile] {
        dropped.map(\.file)
            + leaving.sorted { ($0.segment, $0.generation) < ($1.segment, $1.generation) }
    }

    /// Takes over a segment from a checkpoint.
    mutating func restore(_ info: SegmentInfo) {
        closeUnsealed()
        table[info.number] = info
        note(info.file)
        if info.isSealed, info.liveExtents == 0 { dead.insert(info.number) }
    }

    /// Takes over a dropped file that is still there.
    mutating func restoreDropped(_ file: SegmentFile, checkpoint: UInt64) {
        dropped.append((file, checkpoint))
        note(file)
    }

    subscript(number: UInt32) -> SegmentInfo? {
        var info = table[number]
        if number == unsealed { info?.liveExtents += unsealedExtents }
        return info
    }

    /// The highest segment number that is known of, dropped ones included; 0 if there is none.
    var highest: UInt32 { max(table.numbers.last ?? 0, absent.map(\.segment).max() ?? 0) }

    /// All segments, by rising numbers.
    var infos: [SegmentInfo] { table.numbers.compactMap { self[$0] } }
}
