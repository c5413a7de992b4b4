package import Base

// Opening a store, in steps:
// 1. Take the directory's lock; list it; nothing is removed that could hold a record.
// 2. Read the newest checkpoint that is sound. None: every segment is read from its start.
// 3. Walk through the segments from the checkpoint's position on and apply their records. An atomic
//    unit counts when its last record is there.
// 4. If that met damage, and damage is to be looked at first, it ends here: up to now nothing in the
//    directory was changed.
// 5. The log goes on where the last complete unit ends; a torn tail behind it is cut off and counted.
//    What was read is synced first, so that nothing that is served now can be lost later.
// 6. Remove what the checkpoint names as dropped, and files that were never finished. Keep copies of
//    damaged bytes.

/// What opening a store found and did, for the log and the tools.
package struct RecoveryReport: Sendable, Equatable {
    /// The number of the checkpoint used; nil if there was none.
    package var checkpoint: UInt64?
    /// Checkpoint files that could not be used, with the reason.
    package var unusedCheckpoints: [String] = []
    package var segmentsRead = 0
    package var recordsApplied = 0
    package var bytesRead = 0
    /// Bytes of a group that was being written when the store ended.
    package var tornBytes = 0
    package var tornFile: String?
    package var damage: [Damage] = []
    /// What was kept of the damaged bytes.
    package var quarantine = QuarantineReport()
    /// Files that no checkpoint mentions; kept.
    package var unknownFiles: [String] = []
    package var queues = 0
    package var messages = 0
    package var isNew = false
    /// The log is longer than one segment, and no checkpoint could be used: everything was read, and
    /// settles that stood only in segments that are gone are forgotten.
    package var isRebuilt = false
    /// Segments that the disk does not open, put aside under these names.
    package var putAside: [String] = []

    package init() {}
}

/// Is told how many bytes of the log were read, and of how many.
package typealias RecoveryProgress = (_ done: Int, _ total: Int) -> Void

/// The log as recovery leaves it: what a `LogStore` begins with.
struct RecoveredLog {
    var store: StoreID
    var state: StoreState
    var epoch: UInt64
    var nextGroup: UInt64
    /// Where the next group goes.
    var end: LogPosition
    /// Whether the segment at `end` has yet to be created.
    var beginsSegment: Bool
    /// The segment at the log's end has an older version than those that are begun now.
    var isOlderFormat: Bool
    /// How many bytes the file of the segment at `end` had from the start; 0 = it was not prepared.
    var preparedBytes: Int
    var checkpoints: [UInt64]
    var nextCheckpoint: UInt64
    var createdMilliseconds: UInt64
}

/// Opens a directory as a store.
package struct Recovery<Files: FileSystem> {
    private let files: Files
    private let directory: String
    private let options: LogStoreOptions
    private let progress: RecoveryProgress?
    private var report = RecoveryReport()
    private var listing = StoreFiles<Files>.Listing()
    private var checkpointNumbers: [UInt64] = []
    private var unusable: [UInt64] = []
    private var nextCheckpoint: UInt64 = 1

    /// A store that is open: the state machine, the lock that must be kept, what was found.
    package struct Opened {
        package let store: LogStore
        package let lock: Files.File
        package let report: RecoveryReport
    }

    /// Opens, or creates, the store in `directory`.
    ///
    /// `generator` is used for a new store's id only. `progress` is called after each segment that was
    /// read.
    ///
    /// Blocks: reads the log behind the checkpoint. Time grows with that, not with the backlog.
    package static func open(
        _ files: Files,
        directory: String,
        options: LogStoreOptions,
        now: WallTime,
        using generator: inout some RandomNumberGenerator,
        progress: RecoveryProgress? = nil
    ) throws(LogStoreError) -> Opened {
        var recovery = Recovery(
            files: files,
            directory: directory,
            options: options,
            progress: progress
        )
        let lock = try recovery.lockDirectory()
        do throws(LogStoreError) {
            let log = try recovery.recover(now: now, using: &generator)
            recovery.report.queues = log.state.queues.count
            recovery.report.messages = log.state.queues.values.reduce(0) { $0 + $1.liveCount }
            let store = LogStore(log, options: options)
            return Opened(store: store, lock: lock, report: recovery.report)
        } catch {
            files.close(lock)
            throw error
        }
    }

    private init(
        files: Files,
        directory: String,
        options: LogStoreOptions,
        progress: RecoveryProgress?
    ) {
        self.files = files
        self.directory = directory
        self.options = options
        self.progress = progress
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    private func lockDirectory() throws(LogStoreError) -> Files.File {
        do throws(FileError) {
            try files.createDirectory(directory)
            return try files.lock(path(FileNames.lock))
        } catch {
            throw error.reason == .locked ? .inUse(directory: directory) : .file(error)
        }
    }

    private mutating func recover(
        now: WallTime,
        using generator: inout some RandomNumberGenerator
    ) throws(LogStoreError) -> RecoveredLog {
        try listDirectory()
        let content = try newestCheckpoint()
        var known = content?.header.store
        if known == nil { known = try storeFiles.storeOfLog(listing) }
        guard let store = known else {
            try refuseDamage([], checkpoint: content)
            try putAsideCheckpoints()
            // What an interrupted first start left holds nothing: its header never came to be.
            try removeLeftovers(listing.segments)
            try syncParent()
            return newStore(StoreID(using: &generator), now: now)
        }
        var replay = Replay(
            files: files,
            directory: directory,
            store: store,
            checkpoint: content,
            segments: listing.segments,
            packed: listing.packed,
            scope: scope(from: content?.header.position.segment ?? 0)
        )
        let log = try replay.run(now: now)
        try refuseDamage(replay.damage, checkpoint: content)
        try putAsideCheckpoints()
        try putAsideSegments(replay.unopened, log.state)
        try replay.makeFinal()
        report.isRebuilt =
            content == nil && (listing.numbers.last ?? 0 > 1 || !listing.packed.isEmpty)
        report.segmentsRead = replay.segmentsRead
        report.recordsApplied = replay.recordsApplied
        report.bytesRead = replay.bytesRead
        report.tornBytes = replay.tornBytes
        report.tornFile = replay.tornFile
        report.damage = replay.damage
        report.unknownFiles = replay.unknownFiles
        try removeLeftovers(replay.unfinished)
        let quarantine = Quarantine(
            files,
            directory: directory,
            minFreeBytes: options.minFreeDiskBytes
        )
        report.quarantine = quarantine.keep(replay.damage)
        return RecoveredLog(
            store: store,
            state: log.state,
            epoch: log.epoch + 1,
            nextGroup: log.nextGroup,
            end: log.end,
            beginsSegment: log.beginsSegment,
            isOlderFormat: log.isOlderFormat,
            preparedBytes: log.preparedBytes,
            checkpoints: checkpointNumbers,
            nextCheckpoint: nextCheckpoint,
            createdMilliseconds: now.milliseconds
        )
    }

    /// A replay of the segments from the given one on that tells how far it is.
    private func scope(from first: UInt32) -> ReplayScope {
        var scope = ReplayScope()
        guard let progress else { return scope }
        var total = 0
        for segment in listing.segments where segment >= first {
            // What cannot be read is met, and told, by the replay.
            do throws(FileError) {
                let file = try files.open(path(FileNames.segment(segment)), .read)
                defer { files.close(file) }
                total += try files.size(file)
            } catch {}
        }
        scope.observer = RecoveryWatch(total: total, progress)
        return scope
    }

    /// Makes the name of a directory that was just created durable.
    private func syncParent() throws(LogStoreError) {
        let parent = directory.lastIndex(of: "/").map { String(directory[..<$0]) } ?? "."
        do throws(FileError) {
            try files.syncDirectory(parent.isEmpty ? "/" : parent)
        } catch { throw .file(error) }
    }

    private mutating func newStore(_ id: StoreID, now: WallTime) -> RecoveredLog {
        report.isNew = true
        return RecoveredLog(
            store: id,
            state: StoreState(),
            epoch: 1,
            nextGroup: 1,
            end: LogPosition(segment: 1, offset: 0),
            beginsSegment: true,
            isOlderFormat: false,
            preparedBytes: 0,
            checkpoints: [],
            nextCheckpoint: 1,
            createdMilliseconds: now.milliseconds
        )
    }

    private var storeFiles: StoreFiles<Files> { StoreFiles(files: files, directory: directory) }

    private mutating func listDirectory() throws(LogStoreError) {
        do throws(FileError) {
            listing = try storeFiles.list()
        } catch { throw .file(error) }
        checkpointNumbers = listing.checkpoints
        try storeFiles.checkVersions(listing.packed)
    }

    /// The newest sound checkpoint.
    ///
    /// Others are kept out of use and reported, except that a newer version's checkpoint ends the
    /// opening.
    private mutating func newestCheckpoint() throws(LogStoreError) -> CheckpointContent? {
        var found: CheckpointContent?
        for number in checkpointNumbers.reversed() where found == nil {
            let name = FileNames.checkpoint(number)
            let result: Result<CheckpointContent, CheckpointFault>
            do throws(FileError) { result = try storeFiles.checkpoint(number) } catch {
                throw .file(error)
            }
            switch result {
            case .success(let content):
                found = content
                report.checkpoint = number
            case .failure(.newerVersion(let version)):
                throw .newerFormat(
                    file: path(name),
                    version: version,
                    supported: CheckpointHeader.formatVersion
                )
            case .failure(let fault):
                report.unusedCheckpoints.append("\(name): \(fault)")
                unusable.append(number)
            }
        }
        checkpointNumbers.removeAll { unusable.contains($0) }
        nextCheckpoint = max(unusable.max() ?? 0, checkpointNumbers.max() ?? 0) + 1
        return found
    }

    private func putAsideCheckpoints() throws(LogStoreError) {
        for number in unusable { _ = try putAside(FileNames.checkpoint(number)) }
    }

    /// Keeps segments that the disk does not open: as far as is known nothing in them is unsettled, and
    /// so they would go, but nobody can tell what they hold.
    private mutating func putAsideSegments(
        _ unopened: [UInt32],
        _ state: StoreState
    ) throws(LogStoreError) {
        for number in unopened where state.segments[number]?.liveExtents ?? 0 == 0 {
            if let name = try putAside(FileNames.segment(number)) { report.putAside.append(name) }
        }
    }

    /// Gives a file that cannot be read a name under which nobody removes it; nil if that fails.
    private func putAside(_ name: String) throws(LogStoreError) -> String? {
        let aside = FileNames.aside(name)
        do throws(FileError) {
            try files.rename(path(name), to: path(aside))
            return aside
        } catch {
            // Something of that name is in the way; then it stays, for it is reported anyway.
            guard error.spoilsOneFile || error.reason == .exists else { throw .file(error) }
            return nil
        }
    }

    /// Ends the opening if damage is to be looked at first.
    ///
    /// A damaged checkpoint is none, as long as there is a sound one.
    private func refuseDamage(
        _ found: [Damage],
        checkpoint: CheckpointContent?
    ) throws(LogStoreError) {
        guard options.onDamage == .refuse else { return }
        var damage = found
        if checkpoint == nil {
            for reason in report.unusedCheckpoints {
                let file = String(reason.prefix { $0 != ":" })
                damage.append(
                    Damage(
                        file: file,
                        offset: 0,
                        length: 0,
                        reason: "the checkpoint cannot be used, and there is no other: \(reason)"
                    )
                )
            }
        }
        if !damage.isEmpty { throw .damaged(directory: directory, damage) }
    }

    private func removeTemporary(_ name: String) throws(FileError) {
        do throws(FileError) { try files.remove(path(name)) } catch {
            // A directory of that name is somebody else's.
            guard error.spoilsOneFile || error.reason == .notPermitted else { throw error }
        }
    }

    private func removeLeftovers(_ unfinished: [UInt32]) throws(LogStoreError) {
        do throws(FileError) {
            for name in listing.temporary { try removeTemporary(name) }
            for number in unfinished { try files.remove(path(FileNames.segment(number))) }
            try files.syncDirectory(directory)
        } catch { throw .file(error) }
    }
}

extension Recovery where Files == PosixFileSystem {
    /// `open` on the system's files.
    ///
    /// A concrete entry point in the module of the generic code, so that it is compiled for these
    /// files: an unspecialised replay is three times slower. A new store gets `newID`.
    package static func openOnDisk(
        _ files: PosixFileSystem,
        directory: String,
        options: LogStoreOptions,
        now: WallTime,
        newID: StoreID,
        progress: @escaping RecoveryProgress
    ) throws(LogStoreError) -> Opened {
        var generator = GivenID(words: [newID.low, newID.high])
        return try open(
            files,
            directory: directory,
            options: options,
            now: now,
            using: &generator,
            progress: progress
        )
    }
}

/// Counts the bytes that were read, segment by segment.
private final class RecoveryWatch: ReplayObserver {
    private let total: Int
    private let progress: RecoveryProgress
    private var size = 0
    private var done = 0

    init(total: Int, _ progress: @escaping RecoveryProgress) {
        self.total = total
        self.progress = progress
    }

    func segmentBegins(_ segment: UInt32, size: Int, isPacked: Bool) { self.size = size }

    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    ) {}

    func segmentEnds(_ segment: UInt32, _ kind: ScanEnd, end: LogPosition, state: StoreState) {
        done += size
        progress(done, max(done, total))
    }
}

/// Gives out the two words of a store's id that the caller drew.
private struct GivenID: RandomNumberGenerator {
    var words: [UInt64]

    mutating func next() -> UInt64 {
        invariant(!words.isEmpty, "a store's id has two words")
        return words.removeLast()
    }
}
