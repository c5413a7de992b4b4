import Base

// Reading messages, in two replays:
// 1. As a start would, from the newest checkpoint: which entries are unsettled, and where the log ends.
// 2. Segment by segment from the first byte, up to that end: the messages themselves. Each is looked
//    up in the state of the first replay, so no list of entries is ever held.

/// Takes one message with its header block and body, which are lent for the call; false ends the
/// reading.
package typealias TakeMessage = (
    _ message: StoredMessage, _ headers: RawSpan, _ body: RawSpan
) -> Bool

/// Hands out a store's messages in the order of the log, and changes nothing.
package struct MessageReader<Files: FileSystem> {
    /// Reads the store in `directory`.
    ///
    /// Fails where there is nothing to read: no store, no rights, a newer format, a directory in use
    /// (unless `isLive`, which reads what is complete when it begins; what a daemon settles and drops
    /// meanwhile is left out). With `newestSegments`, messages of older
    /// segments are left out. `queues` is called once, before the first message. `progress` is called about once for each MiB. Blocks; memory does not
    /// grow with the length of the log.
    package static func run(
        _ files: Files,
        directory: String,
        isLive: Bool = false,
        newestSegments: Int = .max,
        choice: EntryChoice = .all,
        queues: ([StoredQueue]) -> Void = { _ in },
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in },
        take: @escaping TakeMessage
    ) throws(LogStoreError) -> ReaderReport {
        let opened = try InspectorDirectory(files, directory: directory, isLive: isLive)
        defer { opened.close() }
        return try read(opened, newestSegments, choice, queues, progress, take)
    }

    private static func read(
        _ opened: InspectorDirectory<Files>,
        _ newestSegments: Int,
        _ choice: EntryChoice,
        _ queues: ([StoredQueue]) -> Void,
        _ progress: @escaping (_ done: Int, _ total: Int) -> Void,
        _ take: @escaping TakeMessage
    ) throws(LogStoreError) -> ReaderReport {
        let last = try opened.finalState()
        queues(last.state.storedQueues)
        var segments = opened.listing.numbers.suffix(newestSegments)
        if choice == .unsettled {
            let live = last.state.liveSegments
            segments.removeAll { !live.contains($0) }
        }
        let pass = MessagePass(
            last.state,
            choice,
            total: try opened.totalBytes(Array(segments)),
            progress: progress,
            take: take
        )
        var met: [Damage] = []
        if !segments.isEmpty {
            met = try opened.wholeLog(Array(segments), before: last.end, pass).damage
        }
        return ReaderReport(
            damage: try opened.damage(met, last.replay.damage),
            isWhole: newestSegments >= opened.listing.numbers.count
        )
    }
}

extension StoreState {
    fileprivate var storedQueues: [StoredQueue] {
        queues.values.map { queue in
            StoredQueue(
                name: queue.name,
                first: EntrySequence(queue.firstSequence),
                next: EntrySequence(queue.nextSequence),
                messages: queue.liveCount
            )
        }
    }

    /// Segments that hold unsettled entries.
    var liveSegments: Set<UInt32> {
        var live: Set<UInt32> = []
        for queue in queues.values {
            for extent in queue.extents { live.insert(extent.segment) }
        }
        return live
    }
}

/// Follows a replay of whole segments and hands on the messages that were asked for.
///
/// Confinement: whoever made it; one replay.
final class MessagePass: ReplayObserver {
    private let final: StoreState
    private let choice: EntryChoice
    private let total: Int
    private let progress: (_ done: Int, _ total: Int) -> Void
    private let take: TakeMessage
    private(set) var isDone = false

    private var size = 0
    private var finishedBytes = 0
    private var reported = 0
    private var entries: [StoredEntry] = []

    /// `final` is asked for each entry at the time the entry is met, so `take` may settle what it
    /// took.
    init(
        _ final: StoreState,
        _ choice: EntryChoice,
        total: Int,
        progress: @escaping (_ done: Int, _ total: Int) -> Void,
        take: @escaping TakeMessage
    ) {
        self.final = final
        self.choice = choice
        self.total = total
        self.progress = progress
        self.take = take
    }

    func segmentBegins(_ segment: UInt32, size: Int, isPacked: Bool) {
        self.size = size
    }

    func segmentEnds(_ segment: UInt32, _ kind: ScanEnd, end: LogPosition, state: StoreState) {
        finishedBytes += size
        showProgress(0)
    }

    private func showProgress(_ offset: Int) {
        let done = finishedBytes + offset
        if done - reported >= 1 << 20 {
            reported = done
            progress(done, total)
        }
    }

    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    ) {
        showProgress(position.offset)
        guard case .record(let header) = event,
            let record = MessageRecord(header, bytes, at: local)
        else { return }
        entries.removeAll(keepingCapacity: true)
        for index in 0..<record.entryCount {
            let (id, sequence) = record.entry(index, in: bytes)
            if let entry = entry(id, sequence, position.segment, state) { entries.append(entry) }
        }
        guard !entries.isEmpty else { return }
        let message = StoredMessage(
            position: position,
            time: WallTime(milliseconds: record.timeMilliseconds),
            expires: record.expiresMilliseconds,
            entries: entries
        )
        if !take(message, bytes.extracting(record.headers), bytes.extracting(record.body)) {
            isDone = true
        }
    }

    /// The entry if it is asked for.
    ///
    /// Not those of an atomic unit that was never completed, nor of a record whose entry was lost
    /// here and stands elsewhere.
    private func entry(
        _ id: QueueID,
        _ sequence: EntrySequence,
        _ segment: UInt32,
        _ state: StoreState
    ) -> StoredEntry? {
        guard let queue = final.queue(id) else {
            guard choice != .unsettled else { return nil }
            return StoredEntry(
                queue: id,
                name: state.queue(id)?.name ?? "with id \(id.value)",
                sequence: sequence,
                requeue: nil,
                isSettled: true
            )
        }
        guard sequence.value < queue.nextSequence else { return nil }
        var isSettled = true
        if let index = queue.extentIndex(of: sequence.value),
            !queue.extents[index].isSettled(sequence.value)
        {
            guard queue.extents[index].segment == segment else { return nil }
            isSettled = false
        }
        guard choice == .all || (choice == .settled) == isSettled else { return nil }
        return StoredEntry(
            queue: id,
            name: queue.name,
            sequence: sequence,
            requeue: queue.requeues.isEmpty ? nil : queue.requeues[sequence.value],
            isSettled: isSettled
        )
    }
}

extension MessageReader where Files == PosixFileSystem {
    /// `run` on the operating system's files; compiled for them in this module.
    package static func runOnDisk(
        _ directory: String,
        isLive: Bool,
        newestSegments: Int = .max,
        choice: EntryChoice,
        queues: ([StoredQueue]) -> Void = { _ in },
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in },
        take: @escaping TakeMessage
    ) throws(LogStoreError) -> ReaderReport {
        try run(
            PosixFileSystem(),
            directory: directory,
            isLive: isLive,
            newestSegments: newestSegments,
            choice: choice,
            queues: queues,
            progress: progress,
            take: take
        )
    }
}
