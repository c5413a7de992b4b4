import Base

// A snapshot, in steps:
// 1. Replay from the newest checkpoint, as a start would: it leads to the log's end, and to the
//    segments that the store still needs. Beside a daemon the end is moved back to the last complete
//    group; whatever was reported durable before the snapshot began lies before it.
// 2. Take the needed segments before the one that holds the end: nothing is written to them any more.
//    By a second name for the same file, else by a copy. Of the last segment the bytes up to the end.
// 3. Write the checkpoint, from the bytes that the replay began with.
// A daemon may drop a needed segment meanwhile. It first gives the file another name, so a file that
// still has its name afterwards was whole; else everything is done again from a newer checkpoint.
// A file with two names is never used again for another segment (`StoreWorker.prepareSpare`).

/// What a snapshot took.
package struct SnapshotReport: Sendable, Equatable {
    /// The log's end in the snapshot.
    package var end = LogPosition(value: 0)
    package var segments = 0
    /// Segments that share their file with the store's.
    package var linked = 0
    /// Bytes that were written, and bytes of shared files.
    package var copiedBytes = 0
    package var linkedBytes = 0
    package var messages = 0
    package var queues = 0
    /// What the replay behind the checkpoint met; it is in the snapshot as it stands.
    package var damage: [Damage] = []
    package var notes: [String] = []

    package init() {}
}

/// Makes a copy of a store that opens as it is, also of one that a daemon has open.
package struct Snapshot<Files: FileSystem> {
    /// How often a snapshot is begun again because the daemon dropped a segment meanwhile.
    private static var triesMax: Int { 20 }

    private let files: Files
    private let directory: String
    private let target: String
    private let links: Bool
    /// Files of the snapshot that are complete; another attempt uses them again.
    private var whole: Set<String> = []
    /// Files that the last attempt needed.
    private var wanted: Set<String> = []
    private let progress: (_ done: Int, _ total: Int) -> Void
    private var report = SnapshotReport()
    private var linkedBytes: [String: Int] = [:]
    private var copiedBytes: [String: Int] = [:]
    private var doneBytes = 0
    private var totalBytes = 0

    /// Copies the store in `directory` into `target`, a directory that is empty or does not exist.
    ///
    /// With `links`, segments share their files where the disk allows. After a failure `target` holds
    /// an unfinished copy. Blocks; memory does not grow with the log.
    package static func run(
        _ files: Files,
        directory: String,
        to target: String,
        isLive: Bool,
        links: Bool = true,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(LogStoreError) -> SnapshotReport {
        do throws(FileError) { try files.createDirectory(target) } catch { throw .file(error) }
        var snapshot = Snapshot(files, directory, target, links, progress)
        for _ in 0..<triesMax {
            let opened = try InspectorDirectory(files, directory: directory, isLive: isLive)
            defer { opened.close() }
            let isDone = try snapshot.take(opened)
            try snapshot.discard()
            if isDone { return snapshot.report }
        }
        throw .unusable(
            file: directory,
            reason: "the daemon drops segments faster than they can be copied; try at a calmer time"
        )
    }

    private init(
        _ files: Files,
        _ directory: String,
        _ target: String,
        _ links: Bool,
        _ progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) {
        self.files = files
        self.directory = directory
        self.target = target
        self.links = links
        self.progress = progress
    }

    /// False if a file went meanwhile.
    private mutating func take(_ opened: InspectorDirectory<Files>) throws(LogStoreError) -> Bool {
        do throws(FileError) {
            var bytes: [UInt8]?
            if let newest = opened.checkpoints.last {
                bytes = try read(FileNames.checkpoint(newest.number))
            }
            let watcher = EndWatcher()
            let last = try Self.finalState(opened, watcher)
            // A newer checkpoint took its place between the two readings.
            guard last.replay.checkpoint?.header.number == opened.checkpoints.last?.number else {
                return false
            }
            let end = opened.isLive ? watcher.completeEnd(last.end) : last.end
            addReport(last, end)
            guard let needed = needed(opened, last, end) else { return false }
            wanted = Set(needed.map(\.name))
            try copySegments(needed, end)
            let names = Set(try files.list(directory))
            guard needed.allSatisfy({ whole.contains($0.name) || names.contains($0.name) }) else {
                return false
            }
            if let newest = opened.checkpoints.last, let bytes {
                try write(FileNames.checkpoint(newest.number), bytes)
                wanted.insert(FileNames.checkpoint(newest.number))
            }
            whole.formUnion(wanted)
            report.linked = wanted.count { linkedBytes[$0] != nil }
            report.linkedBytes = wanted.reduce(0) { $0 + (linkedBytes[$1] ?? 0) }
            report.copiedBytes = wanted.reduce(0) { $0 + (copiedBytes[$1] ?? 0) }
            try files.syncDirectory(target)
            return true
        } catch {
            if opened.isLive, error.reason == .notFound { return false }
            throw .file(error)
        }
    }

    /// A replay's errors are of the store, not of one file that a daemon may have removed.
    private static func finalState(
        _ opened: InspectorDirectory<Files>,
        _ watcher: EndWatcher
    ) throws(FileError) -> FinalState<Files> {
        do throws(LogStoreError) {
            return try opened.finalState(observer: watcher)
        } catch {
            if case .file(let error) = error { throw error }
            throw FileError(
                reason: .other(0),
                operation: "read",
                path: opened.directory,
                detail: "\(error)"
            )
        }
    }

    private mutating func addReport(_ last: FinalState<Files>, _ end: LogPosition) {
        report.end = end
        report.queues = last.state.queues.count
        report.messages = last.state.queues.values.reduce(0) { $0 + $1.liveCount }
        report.damage = last.replay.damage
        report.notes = []
        for name in last.replay.unknownFiles {
            report.notes.append("\(name) is not in the snapshot: no checkpoint mentions it")
        }
    }

    /// The forms of segments that the state speaks of, rising; nil if one of them went since the
    /// listing.
    private func needed(
        _ opened: InspectorDirectory<Files>,
        _ last: FinalState<Files>,
        _ end: LogPosition
    ) -> [SegmentFile]? {
        let sealed = opened.listing.segments.map { SegmentFile(segment: $0, generation: 0) }
        let there = Set(sealed + opened.listing.packed)
        let known = last.state.segments.infos.map(\.file)
            .filter { LogPosition(segment: $0.segment, offset: 0) <= end }
            .sorted { $0.segment < $1.segment }
        if opened.isLive, !known.allSatisfy(there.contains) {
            return nil
        }
        return known.filter(there.contains)
    }

    // MARK: Files

    private mutating func copySegments(
        _ needed: [SegmentFile],
        _ end: LogPosition
    ) throws(FileError) {
        report.segments = needed.count
        let missing = needed.filter { !whole.contains($0.name) }
        doneBytes = 0
        totalBytes = 0
        for file in missing { totalBytes += try size(file.name) }
        for file in missing {
            let name = file.name
            if file.segment == end.segment, !file.isPacked {
                try copy(name, upTo: end.offset)
                continue
            }
            if try !link(name) { try copy(name, upTo: nil) }
            // Its name is never given again, so what still has it did not change meanwhile.
            _ = try size(name)
            whole.insert(name)
        }
    }

    private func size(_ name: String) throws(FileError) -> Int {
        let file = try files.open(directory + "/" + name, .read)
        defer { files.close(file) }
        return try files.size(file)
    }

    /// Gives the file a second name in the snapshot; false where that cannot be.
    private mutating func link(_ name: String) throws(FileError) -> Bool {
        guard links else { return false }
        do throws(FileError) {
            try files.link(directory + "/" + name, to: target + "/" + name)
        } catch {
            // Another disk, a file of somebody else's, a file system without links; the copy will tell
            // if it is more than that.
            if error.reason == .notFound { throw error }
            return false
        }
        linkedBytes[name] = try size(name)
        return true
    }

    private mutating func copy(_ name: String, upTo end: Int?) throws(FileError) {
        let source = try files.open(directory + "/" + name, .read)
        defer { files.close(source) }
        var reader = try BlockReader(files, source)
        let size = min(end ?? reader.size, reader.size)
        let file = try files.open(target + "/" + name, .create)
        defer { files.close(file) }
        var offset = 0
        while offset < size {
            var count = min(BlockReader<Files>.blockBytes, size - offset)
            // A daemon that seals the segment meanwhile cuts off what is behind its footer.
            if try !reader.load(offset, count) { count = min(count, reader.window.count) }
            guard count > 0 else { break }
            let local = offset - reader.start
            try files.write(
                file,
                at: offset,
                reader.window.span.bytes.extracting(local..<local + count)
            )
            offset += count
            doneBytes += count
            progress(doneBytes, totalBytes)
        }
        copiedBytes[name] = size
        // The segment's header tells how long the file was made: a shorter one would count as cut off.
        if end != nil { try files.truncate(file, to: max(size, try preparedBytes(&reader))) }
        try files.syncData(file)
    }

    private func preparedBytes(_ reader: inout BlockReader<Files>) throws(FileError) -> Int {
        guard try reader.load(0, SegmentHeader.byteCount) else { return 0 }
        do throws(SegmentHeader.Fault) {
            return try SegmentHeader.decode(reader.window.span.bytes).preparedBytes
        } catch { return 0 }
    }

    private func read(_ name: String) throws(FileError) -> [UInt8] {
        let file = try files.open(directory + "/" + name, .read)
        defer { files.close(file) }
        var bytes: [UInt8] = []
        try bytes.appendBytes(upTo: try files.size(file)) { (span) throws(FileError) in
            try files.read(file, at: 0, into: &span)
        }
        return bytes
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws(FileError) {
        let file = try files.open(target + "/" + name, .create)
        defer { files.close(file) }
        try files.write(file, at: 0, bytes.span.bytes)
        try files.syncData(file)
    }

    /// Removes what the last attempt left unfinished, and copies of what it did not need any more.
    private mutating func discard() throws(LogStoreError) {
        whole.formIntersection(wanted)
        do throws(FileError) {
            for name in try files.list(target) where !whole.contains(name) {
                try files.remove(target + "/" + name)
            }
        } catch { throw .file(error) }
    }
}

/// Notes the last group that a replay meets.
///
/// Confinement: whoever made it; one replay.
final class EndWatcher: ReplayObserver {
    private(set) var group: (record: GroupRecord, position: LogPosition)?

    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    ) {
        if case .group(let record) = event { group = (record, position) }
    }

    /// The start of the last group if `end` lies inside it, for it is still being written.
    func completeEnd(_ end: LogPosition) -> LogPosition {
        guard let group, group.position.segment == end.segment, group.position < end,
            group.position.offset + group.record.groupBytes > end.offset
        else { return end }
        return group.position
    }
}

extension Snapshot where Files == PosixFileSystem {
    /// `run` on the operating system's files; compiled for them in this module.
    package static func runOnDisk(
        _ directory: String,
        to target: String,
        isLive: Bool,
        links: Bool,
        progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) -> SnapshotReport {
        try run(
            PosixFileSystem(),
            directory: directory,
            to: target,
            isLive: isLive,
            links: links,
            progress: progress
        )
    }
}
