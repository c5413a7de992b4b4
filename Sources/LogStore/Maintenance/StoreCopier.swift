package import Base

// Copying a store's live content into a new one, in steps:
// 1. Find the state that counts: of the next start, or, to go back in time, of the log cut before the
//    first message that is later.
// 2. Read the whole log up to that end and append each message that has an unsettled entry; what is
//    copied is settled in the state, so what is left in the end was lost.
// 3. Name what was lost by the damage that took it.

/// Copies what is sound and unsettled of a store into a new one, and never changes the store itself.
package struct StoreCopier<Files: FileSystem> {
    private let opened: InspectorDirectory<Files>
    private var report = CopyReport()

    /// Copies what the next start would serve.
    ///
    /// Works on a store whose checkpoints and headers are damaged as long as its id can be found
    /// anywhere. Fails where there is nothing to read, and when the new store cannot be written; the
    /// builder is then closed and unfinished.
    package static func repair<Target: FileSystem>(
        _ files: Files,
        directory: String,
        into builder: StoreBuilder<Target>,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(LogStoreError) -> CopyReport {
        try closingOnFailure(builder) { () throws(LogStoreError) in
            let opened = try InspectorDirectory(
                files,
                directory: directory,
                isLive: false
            )
            defer { opened.close() }
            var copier = StoreCopier(opened: opened)
            try copier.copy(try opened.finalState(), into: builder, progress)
            if opened.checkpoints.isEmpty { copier.noteForgottenSettles() }
            return copier.report
        }
    }

    /// Copies the store as its log was before the first message that was taken later than `time`.
    ///
    /// What was removed from the log since is missing: see `CopyReport.notes`. Fails as `repair`.
    package static func rewind<Target: FileSystem>(
        _ files: Files,
        directory: String,
        until time: WallTime,
        into builder: StoreBuilder<Target>,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(LogStoreError) -> CopyReport {
        try closingOnFailure(builder) { () throws(LogStoreError) in
            let opened = try InspectorDirectory(files, directory: directory, isLive: false)
            defer { opened.close() }
            var copier = StoreCopier(opened: opened)
            let search = LaterMessage(than: time)
            _ = try opened.wholeLog(opened.listing.numbers, before: nil, search)
            copier.report.cut = search.position
            try copier.copy(
                try opened.finalState(before: search.position),
                into: builder,
                progress
            )
            copier.noteRemovedSegments()
            return copier.report
        }
    }

    private static func closingOnFailure<Target: FileSystem>(
        _ builder: StoreBuilder<Target>,
        _ body: () throws(LogStoreError) -> CopyReport
    ) throws(LogStoreError) -> CopyReport {
        let report: CopyReport
        do throws(LogStoreError) { report = try body() } catch {
            builder.close()
            throw error
        }
        try builder.finish()
        return report
    }

    private init(opened: InspectorDirectory<Files>) {
        self.opened = opened
    }

    // MARK: Copying

    private mutating func copy<Target: FileSystem>(
        _ last: FinalState<Files>,
        into builder: StoreBuilder<Target>,
        _ progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) {
        let state = last.state
        var ids: [QueueID: QueueID] = [:]
        for queue in state.queues.values {
            ids[queue.id] = builder.queue(queue.name, next: EntrySequence(queue.firstSequence))
        }
        // Asked before the copying, which settles what it takes.
        report.lost = LostReport.neverKnown(state, last.replay.damage)
        report.queues = Set(ids.values).count
        let segments = opened.listing.numbers.filter {
            LogPosition(segment: $0, offset: 0) < last.end
        }
        let copying = Copying(builder, state, ids)
        let pass = MessagePass(
            state,
            .unsettled,
            total: try opened.totalBytes(segments),
            progress: progress,
            take: copying.take
        )
        let replay = try opened.wholeLog(segments, before: last.end, pass)
        if let failure = copying.failure { throw failure }
        report.messages = copying.messages
        report.entries = copying.entries
        report.bytes = copying.bytes
        report.damage = try opened.damage(replay.damage, last.replay.damage)
        for (number, fault) in opened.faults {
            report.damage.append(
                Damage(
                    file: FileNames.checkpoint(number),
                    offset: 0,
                    length: 0,
                    reason: "the checkpoint cannot be used: \(fault)"
                )
            )
        }
        report.lost += LostReport.lost(state, report.damage)
        if let file = last.replay.tornFile, report.cut == nil {
            report.notes.append(
                "torn tail: \(last.replay.tornBytes) bytes of \(file) at offset "
                    + "\(last.replay.tornOffset) are no complete write and were never confirmed"
            )
        }
    }

    private mutating func noteForgottenSettles() {
        guard opened.listing.segments.first != 1 || hasGaps else { return }
        report.notes.append(
            "no checkpoint could be used and segments are gone: what was unsettled in them is missing and "
                + "cannot be named, and entries whose settling stood in them are in the new store again"
        )
    }

    private var hasGaps: Bool {
        let segments = opened.listing.segments
        return zip(segments, segments.dropFirst()).contains { $0 + 1 != $1 }
    }

    private mutating func noteRemovedSegments() {
        let last = report.cut?.segment ?? opened.listing.segments.last ?? 0
        let there = opened.listing.segments.filter { $0 <= last }
        guard there.count < Int(last) else { return }
        report.notes.append(
            "\(Int(last) - there.count) of the \(last) segments up to that time are gone: messages in "
                + "them that were unsettled then are missing, and settles in them may be forgotten"
        )
    }

    /// What the pass over the log writes into the new store.
    private final class Copying<Target: FileSystem> {
        private let builder: StoreBuilder<Target>
        private let state: StoreState
        private let ids: [QueueID: QueueID]
        private(set) var failure: LogStoreError?
        private(set) var messages = 0
        private(set) var entries = 0
        private(set) var bytes = 0

        init(
            _ builder: StoreBuilder<Target>,
            _ state: StoreState,
            _ ids: [QueueID: QueueID]
        ) {
            self.builder = builder
            self.state = state
            self.ids = ids
        }

        func take(_ message: StoredMessage, _ headers: RawSpan, _ body: RawSpan) -> Bool {
            var targets: [(queue: QueueID, requeue: Requeue?)] = []
            for entry in message.entries {
                guard let id = ids[entry.queue], let queue = state.queue(entry.queue) else {
                    continue
                }
                targets.append((id, entry.requeue))
                _ = state.settle(
                    queue,
                    entry.sequence.value,
                    bytes: headers.byteCount + body.byteCount
                )
            }
            do throws(LogStoreError) {
                try builder.append(
                    headers: headers,
                    body: body,
                    to: targets,
                    at: message.time,
                    expires: message.expires
                )
            } catch {
                failure = error
                return false
            }
            messages += 1
            entries += targets.count
            bytes += headers.byteCount + body.byteCount
            return true
        }
    }
}

/// Finds the first message that was taken after a time.
private final class LaterMessage: ReplayObserver {
    private let time: WallTime
    private(set) var position: LogPosition?

    init(than time: WallTime) {
        self.time = time
    }

    var isDone: Bool { position != nil }

    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    ) {
        guard self.position == nil, case .record(let header) = event,
            let record = MessageRecord(header, bytes, at: local),
            record.timeMilliseconds > time.milliseconds
        else { return }
        self.position = position
    }
}

extension StoreCopier where Files == PosixFileSystem {
    /// `repair` on the operating system's files; compiled for them in this module.
    package static func repairOnDisk(
        _ directory: String,
        into builder: StoreBuilder<PosixFileSystem>,
        progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) -> CopyReport {
        try repair(PosixFileSystem(), directory: directory, into: builder, progress: progress)
    }

    /// `rewind` on the operating system's files.
    package static func rewindOnDisk(
        _ directory: String,
        until time: WallTime,
        into builder: StoreBuilder<PosixFileSystem>,
        progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) -> CopyReport {
        try rewind(
            PosixFileSystem(),
            directory: directory,
            until: time,
            into: builder,
            progress: progress
        )
    }
}
