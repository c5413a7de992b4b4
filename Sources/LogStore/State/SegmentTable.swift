/// What is known of one segment file.
package struct SegmentInfo: Equatable, Sendable {
    package let number: UInt32
    /// Bytes of the file that count; 0 while it is active.
    package var length: Int
    /// Where the footer record begins; 0 while it is active, or if it has none.
    package var footerOffset: Int
    /// Extents of all queues in it that are not settled.
    package var liveExtents: Int

    package var isSealed: Bool { length > 0 }
}

/// All segments by number, and which of them nobody needs any more.
///
/// A segment is dropped in two steps: dead (sealed, no extent) when a checkpoint is taken, it is left
/// out of that checkpoint's table; once the older kept checkpoint leaves it out too, no way of opening
/// the store needs it, and the file may go.
struct SegmentTable {
    private(set) var segments: [UInt32: SegmentInfo] = [:]
    /// Dead segments, by the number of the first checkpoint that leaves them out.
    private(set) var dropped: [(segment: UInt32, checkpoint: UInt64)] = []
    /// Dropped segments whose files are being removed or recycled.
    private(set) var leaving: Set<UInt32> = []
    /// Sealed segments without a live extent that no checkpoint has left out yet.
    private(set) var dead: Set<UInt32> = []

    mutating func begin(_ number: UInt32) {
        segments[number] = SegmentInfo(number: number, length: 0, footerOffset: 0, liveExtents: 0)
    }

    mutating func seal(_ number: UInt32, length: Int, footerOffset: Int) {
        segments[number]?.length = length
        segments[number]?.footerOffset = footerOffset
        if segments[number]?.liveExtents == 0 { dead.insert(number) }
    }

    mutating func extentBegan(in number: UInt32) {
        segments[number]?.liveExtents += 1
    }

    mutating func extentEnded(in number: UInt32) {
        guard var info = segments[number] else { return }
        info.liveExtents -= 1
        segments[number] = info
        if info.liveExtents == 0, info.isSealed { dead.insert(number) }
    }

    /// Leaves the dead segments out of the table from the given checkpoint on.
    mutating func drop(at checkpoint: UInt64) {
        for number in dead.sorted() {
            segments[number] = nil
            dropped.append((number, checkpoint))
        }
        dead = []
    }

    /// The dropped segments that every kept checkpoint leaves out; `oldest` is the oldest of them.
    mutating func takeRemovable(oldestCheckpoint oldest: UInt64) -> [UInt32] {
        let removable = dropped.filter { $0.checkpoint <= oldest }.map(\.segment)
        dropped.removeAll { $0.checkpoint <= oldest }
        leaving.formUnion(removable)
        return removable
    }

    /// The file of a dropped segment is gone.
    mutating func left(_ number: UInt32) {
        leaving.remove(number)
    }

    /// Every segment that is left out of checkpoints while its file may still be there.
    var absent: [UInt32] { dropped.map(\.segment) + leaving.sorted() }

    /// Takes over a segment from a checkpoint.
    mutating func restore(_ info: SegmentInfo) {
        segments[info.number] = info
        if info.isSealed, info.liveExtents == 0 { dead.insert(info.number) }
    }

    /// Takes over a dropped segment whose file is still there.
    mutating func restoreDropped(_ number: UInt32, checkpoint: UInt64) {
        dropped.append((number, checkpoint))
    }

    subscript(number: UInt32) -> SegmentInfo? { segments[number] }
}
