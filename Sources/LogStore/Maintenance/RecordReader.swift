/// One record of the log, decoded, or the damage that stands in its place.
package enum LogRecord: Sendable {
    case group(GroupRecord)
    /// Offsets of headers and body into the bytes that are lent beside it.
    case message(MessageRecord)
    case settle(SettleRecord)
    case requeue(RequeueRecord)
    case queue(QueueRecord)
    case deleteQueue(DeleteQueueRecord)
    case purge(PurgeRecord)
    case footer(SegmentFooter)
    case unitEnd
    /// The checksum is right, yet the lengths inside contradict each other.
    case unreadable
    case damage(String)
}

/// A record with its place.
package struct PlacedRecord: Sendable {
    package let position: LogPosition
    /// Bytes of the record, or of the damage.
    package let length: Int
    /// Part of an atomic unit that goes on with the next record.
    package let continues: Bool
    package let record: LogRecord
}

/// Takes one record; false ends the reading.
///
/// `bytes` are lent for the call; `name` knows the queues met so far.
package typealias TakeRecord = (
    _ record: PlacedRecord, _ bytes: RawSpan, _ name: (UInt32) -> String?
) -> Bool

/// Hands out every record of a store's log in order, and changes nothing.
package struct RecordReader<Files: FileSystem> {
    /// Reads the store in `directory`; see `MessageReader.run` for what fails and what `isLive` means.
    ///
    /// Returns the damage. Blocks; memory does not grow with the length of the log.
    package static func run(
        _ files: Files,
        directory: String,
        isLive: Bool = false,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in },
        take: @escaping TakeRecord
    ) throws(LogStoreError) -> [Damage] {
        let opened = try InspectorDirectory(files, directory: directory, isLive: isLive)
        defer { opened.close() }
        let segments = opened.listing.numbers
        let pass = RecordPass(
            total: try opened.totalBytes(segments),
            progress: progress,
            take: take
        )
        let replay = try opened.wholeLog(segments, before: nil, pass)
        return try opened.damage(replay.damage, [])
    }
}

/// Follows a replay and decodes what it meets.
///
/// Confinement: whoever made it; one replay.
private final class RecordPass: ReplayObserver {
    private let total: Int
    private let progress: (_ done: Int, _ total: Int) -> Void
    private let take: TakeRecord
    private(set) var isDone = false
    private var size = 0
    private var finishedBytes = 0
    private var reported = 0

    init(
        total: Int,
        progress: @escaping (_ done: Int, _ total: Int) -> Void,
        take: @escaping TakeRecord
    ) {
        self.total = total
        self.progress = progress
        self.take = take
    }

    func segmentBegins(_ segment: UInt32, size: Int, isPacked: Bool) {
        self.size = size
    }

    func segmentEnds(_ segment: UInt32, _ kind: ScanEnd, end: LogPosition, state: StoreState) {
        finishedBytes += size
    }

    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    ) {
        let done = finishedBytes + position.offset
        if done - reported >= 1 << 20 {
            reported = done
            progress(done, total)
        }
        let placed: PlacedRecord
        switch event {
        case .group(let group):
            placed = PlacedRecord(
                position: position,
                length: GroupRecord.length,
                continues: false,
                record: .group(group)
            )
        case .record(let header):
            placed = PlacedRecord(
                position: position,
                length: header.length,
                continues: header.continues,
                record: Self.decode(header, bytes, local) ?? .unreadable
            )
        case .damage(let range, let reason):
            placed = PlacedRecord(
                position: position,
                length: range.count,
                continues: false,
                record: .damage(reason)
            )
        case .end: return
        }
        if !take(placed, bytes, { state.queues[$0]?.name }) { isDone = true }
    }

    private static func decode(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        _ local: Int
    ) -> LogRecord? {
        switch header.kind {
        case .group: nil
        case .message: MessageRecord(header, bytes, at: local).map { .message($0) }
        case .settle, .settleOfQueue:
            SettleRecord(header, bytes, at: local).map { .settle($0) }
        case .requeue: RequeueRecord(header, bytes, at: local).map { .requeue($0) }
        case .queue: QueueRecord(header, bytes, at: local).map { .queue($0) }
        case .deleteQueue: DeleteQueueRecord(header).map { .deleteQueue($0) }
        case .purge: PurgeRecord(header, bytes, at: local).map { .purge($0) }
        case .footer: SegmentFooter(header, bytes, at: local).map { .footer($0) }
        case .unitEnd: .unitEnd
        case .block, .index: nil
        }
    }
}

extension RecordReader where Files == PosixFileSystem {
    /// `run` on the operating system's files; compiled for them in this module.
    package static func runOnDisk(
        _ directory: String,
        isLive: Bool,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in },
        take: @escaping TakeRecord
    ) throws(LogStoreError) -> [Damage] {
        try run(
            PosixFileSystem(),
            directory: directory,
            isLive: isLive,
            progress: progress,
            take: take
        )
    }
}
