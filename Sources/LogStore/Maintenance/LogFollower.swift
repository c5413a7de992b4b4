import Base

// Following the log beside a daemon: from the end that a first replay found, group by group. A group
// counts once it is in the file as a whole, so an atomic unit is shown whole or not at all. The daemon
// syncs it at about the same moment, and gives receipts only then.

/// Hands out messages that a running daemon appends.
///
/// Holds one block of the file and nothing that grows. Confinement: whoever made it.
package struct LogFollower<Files: FileSystem> {
    private let storeFiles: StoreFiles<Files>
    private let store: StoreID
    /// Everything before it was handed out, or was there when it began.
    package private(set) var position: LogPosition
    private var seed: UInt32 { store.seed(ofSegment: position.segment) }
    private var nextGroup: UInt64
    private var epoch: UInt64
    private var names: [UInt32: String] = [:]
    /// What was skipped since the last `poll`, in words.
    package private(set) var notes: [String] = []

    /// Begins at the present end of the log.
    ///
    /// Fails where there is no store to read. Blocks.
    package init(_ files: Files, directory: String) throws(LogStoreError) {
        let opened = try InspectorDirectory(files, directory: directory, isLive: true)
        defer { opened.close() }
        let watcher = EndWatcher()
        let last = try opened.finalState(observer: watcher)
        storeFiles = opened.storeFiles
        store = opened.store
        position = watcher.completeEnd(last.end)
        nextGroup = last.outcome.nextGroup
        epoch = last.outcome.epoch
        if let group = watcher.group, group.position == position {
            // It is being written; its own number comes next.
            nextGroup = group.record.number
        }
        if position.offset == 0 {
            position = LogPosition(segment: position.segment, offset: SegmentHeader.byteCount)
        }
        for queue in last.state.queues.values { names[queue.id.value] = queue.name }
    }

    /// Hands on the messages of every group that is complete by now; false if `take` wanted no more.
    ///
    /// Blocks for as long as there is something to read.
    package mutating func poll(_ take: TakeMessage) throws(LogStoreError) -> Bool {
        notes = []
        do throws(FileError) {
            while true {
                switch try readSegment(take) {
                case .stopped: return false
                case .sealed: position = Self.start(of: position.segment + 1)
                case .waiting:
                    guard let next = try laterSegment() else { return true }
                    // The segment is finished, whatever became of the rest of it.
                    if try isFinished() { skip(to: next) }
                case .missing:
                    guard let next = try laterSegment() else { return true }
                    skip(to: next)
                }
            }
        } catch { throw .file(error) }
    }

    private enum Step { case waiting, sealed, missing, stopped }

    private static func start(of segment: UInt32) -> LogPosition {
        LogPosition(segment: segment, offset: SegmentHeader.byteCount)
    }

    private func laterSegment() throws(FileError) -> UInt32? {
        try storeFiles.list().segments.first { $0 > position.segment }
    }

    private mutating func skip(to segment: UInt32) {
        notes.append(
            "the log from position \(position) to segment \(segment) was not readable, or gone before it "
                + "was read"
        )
        position = Self.start(of: segment)
        nextGroup = 0
    }

    /// Whether nothing more is to be read here, now that a later segment is there.
    ///
    /// What is complete in this one was complete before that one began.
    private func isFinished() throws(FileError) -> Bool {
        guard let file = try open() else { return true }
        defer { storeFiles.files.close(file) }
        var reader = try BlockReader(storeFiles.files, file)
        return try groupEnd(&reader) == nil
    }

    private func open() throws(FileError) -> Files.File? {
        do throws(FileError) {
            let name = FileNames.segment(position.segment)
            return try storeFiles.files.open(storeFiles.path(name), .read)
        } catch {
            if error.reason == .notFound { return nil }
            throw error
        }
    }

    // MARK: Groups

    private mutating func readSegment(_ take: TakeMessage) throws(FileError) -> Step {
        guard let file = try open() else { return .missing }
        defer { storeFiles.files.close(file) }
        // A fresh window each time: the daemon writes into the same file.
        var reader = try BlockReader(storeFiles.files, file)
        while let end = try groupEnd(&reader) {
            var isSealed = false
            var at = position.offset
            let seed = seed
            while at < end, let header = try reader.soundHeader(at, seed: seed) {
                let local = at - reader.start
                let bytes = reader.window.span.bytes
                if let group = GroupRecord(header, bytes, at: local) {
                    nextGroup = group.number + 1
                    epoch = group.epoch
                } else if let queue = QueueRecord(header, bytes, at: local) {
                    names[queue.queue.value] = queue.name
                } else if let record = MessageRecord(header, bytes, at: local) {
                    guard hand(record, bytes, at, take) else { return .stopped }
                }
                isSealed = header.kind == .footer
                at += header.length
            }
            position = LogPosition(segment: position.segment, offset: end)
            if isSealed { return .sealed }
        }
        return .waiting
    }

    private func hand(
        _ record: MessageRecord,
        _ bytes: RawSpan,
        _ offset: Int,
        _ take: TakeMessage
    ) -> Bool {
        let entries = (0..<record.entryCount).map { index in
            let (id, sequence) = record.entry(index, in: bytes)
            return StoredEntry(
                queue: id,
                name: names[id.value] ?? "with id \(id.value)",
                sequence: sequence,
                requeue: nil,
                isSettled: false
            )
        }
        let message = StoredMessage(
            position: LogPosition(segment: position.segment, offset: offset),
            time: WallTime(milliseconds: record.timeMilliseconds),
            expires: record.expiresMilliseconds,
            entries: entries
        )
        return take(message, bytes.extracting(record.headers), bytes.extracting(record.body))
    }

    /// Where the group at the position ends, if all of it is there.
    ///
    /// A later opening of the store may have cut it off; then its successor stands inside it.
    private func groupEnd(_ reader: inout BlockReader<Files>) throws(FileError) -> Int? {
        let start = position.offset
        guard let group = try group(&reader, start), group.number >= nextGroup,
            nextGroup == 0 || group.number == nextGroup, group.epoch >= epoch
        else { return nil }
        let end = start + group.groupBytes
        var at = start + GroupRecord.length
        while at < end {
            guard let header = try reader.soundHeader(at, seed: seed) else { return nil }
            if let next = try self.group(&reader, at) {
                return next.number == group.number + 1 && next.epoch > group.epoch ? at : nil
            }
            at += header.length
        }
        return at == end ? end : nil
    }

    private func group(
        _ reader: inout BlockReader<Files>,
        _ offset: Int
    ) throws(FileError) -> GroupRecord? {
        guard let header = try reader.soundHeader(offset, seed: seed) else { return nil }
        return GroupRecord(header, reader.window.span.bytes, at: offset - reader.start)
    }
}

extension LogFollower where Files == PosixFileSystem {
    /// A follower on the operating system's files; compiled for them in this module.
    package static func onDisk(
        _ directory: String
    ) throws(LogStoreError) -> LogFollower<PosixFileSystem> {
        try LogFollower(PosixFileSystem(), directory: directory)
    }

    /// `poll`, compiled for these files.
    package mutating func pollOnDisk(_ take: TakeMessage) throws(LogStoreError) -> Bool {
        try poll(take)
    }
}
