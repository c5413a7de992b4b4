import Base

// Verifying a store, in steps:
// 1. Open the directory for reading; look at every checkpoint file.
// 2. Replay all segments from the first byte of the first, as a start without checkpoints would, and
//    check on the way what `VerifierPass` lists.
// 3. Replay from each checkpoint to the next one: they must lead to the same state.
// 4. Replay from the newest checkpoint to the end, as the next start will: what it finds is reported.
// 5. Read, in segments that have damage, every entry that is unsettled then: those that are not there
//    are named.
// The same scanner and the same replay as the server's read the bytes, so both mean the same.

/// Reads everything in a store's directory and changes nothing.
package struct Verifier<Files: FileSystem> {
    let opened: InspectorDirectory<Files>

    /// Verifies the store in `directory`.
    ///
    /// Fails where there is nothing to judge: no store, no rights, a newer format, a directory in
    /// use (unless `isLive`, which reads beside the daemon and takes no lock). `progress` is called
    /// about once for each MiB. Blocks; memory does not grow with the length of the log.
    package static func run(
        _ files: Files,
        directory: String,
        isLive: Bool = false,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(LogStoreError) -> VerifierReport {
        let opened = try InspectorDirectory(files, directory: directory, isLive: isLive)
        defer { opened.close() }
        return try Verifier(opened: opened).verify(progress)
    }

    private init(opened: InspectorDirectory<Files>) {
        self.opened = opened
    }

    private func verify(
        _ progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) -> VerifierReport {
        let (pass, whole) = try readWholeLog(progress)
        var report = pass.report
        report.damage = whole.damage + pass.findings
        if whole.damage.isEmpty { try compareCheckpoints(&report) }
        let state = try replayAsServer(&report)
        if let file = whole.tornFile {
            report.tornTail = .init(file: file, offset: whole.tornOffset, bytes: whole.tornBytes)
        }
        if report.tornTail == nil, whole.damage.isEmpty { try noteRemains(&report, whole) }
        try checkPacked(&report)
        nameLost(&report, state)
        addFiles(&report)
        if opened.isLive { try leaveOutRemoved(&report) }
        return report
    }

    // MARK: Steps

    private func readWholeLog(
        _ progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) -> (VerifierPass, Replay<Files>) {
        var claims: [(header: CheckpointHeader, state: StoreState)] = []
        for header in opened.checkpoints {
            if let content = try opened.content(header) { claims.append((header, content.state)) }
        }
        let segments = opened.listing.segments
        let isComplete =
            segments.first == 1 && segments.last.map { Int($0) } == segments.count
        let pass = VerifierPass(
            store: opened.store,
            checkpoints: claims.sorted { $0.header.position < $1.header.position },
            isComplete: isComplete && !opened.isLive,
            total: try totalBytes(),
            progress: progress
        )
        var scope = opened.scope
        scope.observer = pass
        scope.durable = opened.checkpoints.map(\.position).max() ?? LogPosition(value: 0)
        var replay = Replay(
            files: opened.files,
            directory: opened.directory,
            store: opened.store,
            checkpoint: nil,
            segments: segments,
            packed: opened.listing.packed,
            scope: scope
        )
        _ = try replay.run(now: WallTime(milliseconds: 0))
        return (pass, replay)
    }

    private func totalBytes() throws(LogStoreError) -> Int {
        var total = 0
        for segment in opened.listing.segments {
            do throws(FileError) {
                let path = opened.storeFiles.path(FileNames.segment(segment))
                let file = try opened.files.open(path, .read)
                defer { opened.files.close(file) }
                total += try opened.files.size(file)
            } catch {
                // What cannot be opened is found by the replay.
                if error.reason == .notFound || error.spoilsOneFile { continue }
                throw .file(error)
            }
        }
        return total
    }

    /// All segments between two kept checkpoints are still there, so the older one leads exactly to
    /// the newer one.
    private func compareCheckpoints(_ report: inout VerifierReport) throws(LogStoreError) {
        for (older, newer) in zip(opened.checkpoints, opened.checkpoints.dropFirst()) {
            guard let start = try opened.content(older), let claim = try opened.content(newer)
            else { continue }
            var scope = opened.scope
            scope.end = newer.position
            scope.durable = newer.position
            let (outcome, replay) = try self.replay(start, scope)
            let comparison = VerifierComparison(
                claimed: claim.state,
                found: outcome.state,
                isExact: !opened.isLive
            )
            guard replay.damage.isEmpty, let reason = comparison.contradiction() else { continue }
            let finding = Damage(
                file: FileNames.checkpoint(newer.number),
                offset: 0,
                length: 0,
                reason: VerifierPass.misfits[1]
                    + "\(FileNames.checkpoint(older.number)): \(reason)"
            )
            if !report.damage.contains(where: { $0.file == finding.file }) {
                report.damage.append(finding)
            }
        }
    }

    private func replayAsServer(
        _ report: inout VerifierReport
    ) throws(LogStoreError) -> StoreState {
        var content: CheckpointContent?
        if let newest = opened.checkpoints.last { content = try opened.content(newest) }
        report.checkpointInUse = content?.header.number
        let (outcome, replay) = try self.replay(content, opened.scope)
        report.queues = outcome.state.queues.count
        report.unsettled = outcome.state.queues.values.reduce(0) { $0 + $1.liveCount }
        for file in replay.unknownFiles {
            report.notes.append("\(file) is older than the checkpoint, which does not list it")
        }
        for number in replay.unfinished {
            report.notes.append("\(FileNames.segment(number)) was prepared and never begun")
        }
        // What is broken in the log itself is known already, by its place; what the checkpoint
        // misses is not.
        let known = Set(report.damage.map(\.file))
        report.damage += replay.damage.filter { !known.contains($0.file) }
        return outcome.state
    }

    private func replay(
        _ content: CheckpointContent?,
        _ scope: ReplayScope
    ) throws(LogStoreError) -> (Replay<Files>.Outcome, Replay<Files>) {
        var replay = Replay(
            files: opened.files,
            directory: opened.directory,
            store: opened.store,
            checkpoint: content,
            segments: opened.listing.segments,
            packed: opened.listing.packed,
            scope: scope
        )
        let outcome = try replay.run(now: WallTime(milliseconds: 0))
        return (outcome, replay)
    }

    /// Looks for sound records behind the log's end.
    ///
    /// A last write whose first bytes never reached the disk ends the log like one that never was;
    /// what else of it is there tells of it. A start that cut a torn tail off leaves the same.
    private func noteRemains(
        _ report: inout VerifierReport,
        _ replay: Replay<Files>
    ) throws(LogStoreError) {
        guard let end = replay.openEnd, !opened.isLive else { return }
        do throws(FileError) {
            let path = opened.storeFiles.path(FileNames.segment(end.segment))
            let file = try opened.files.open(path, .read)
            defer { opened.files.close(file) }
            var reader = try BlockReader(opened.files, file)
            let seed = opened.store.seed(ofSegment: end.segment)
            var at = end.offset
            var found = 0
            while try reader.load(at, RecordHeader.byteCount) {
                guard let header = try reader.soundHeader(at, seed: seed) else {
                    at += 8
                    continue
                }
                found += 1
                at += header.length
            }
            guard found > 0 else { return }
            report.notes.append(
                "\(FileNames.segment(end.segment)): \(found) sound records stand behind the log's end "
                    + "at offset \(end.offset), left by a write that was never completed"
            )
        } catch { throw .file(error) }
    }

    // MARK: Files

    private func addFiles(_ report: inout VerifierReport) {
        if opened.listing.checkpoints.isEmpty, opened.listing.segments.last ?? 0 > 1 {
            report.notes.append(
                "there is no checkpoint, though the log has gone on for more than one segment: the next "
                    + "start may deliver again what was settled, and cannot tell whether the last "
                    + "segments are missing"
            )
        }
        for header in opened.checkpoints {
            report.checkpoints.append(
                .init(
                    number: header.number,
                    file: FileNames.checkpoint(header.number),
                    position: header.position,
                    isSound: true
                )
            )
        }
        for (number, fault) in opened.faults {
            let file = FileNames.checkpoint(number)
            report.checkpoints.append(
                .init(number: number, file: file, position: nil, isSound: false)
            )
            report.damage.append(
                Damage(
                    file: file,
                    offset: 0,
                    length: 0,
                    reason: "the checkpoint cannot be used: \(fault)"
                )
            )
        }
        report.checkpoints.sort { $0.number < $1.number }
        report.quarantined = opened.listing.quarantined
        for name in opened.listing.unknown {
            report.notes.append("\(name) is no file of the store's")
        }
    }

    /// Files that the daemon removed or gave to another segment meanwhile are none of the store's.
    private func leaveOutRemoved(_ report: inout VerifierReport) throws(LogStoreError) {
        let names: Set<String>
        do throws(FileError) { names = Set(try opened.files.list(opened.directory)) } catch {
            throw .file(error)
        }
        let listing = opened.listing
        let seen = Set(
            listing.segments.map { FileNames.segment($0) }
                + listing.packed.map(\.name)
                + listing.checkpoints.map { FileNames.checkpoint($0) }
        )
        report.damage.removeAll { seen.contains($0.file) && !names.contains($0.file) }
    }
}

extension Verifier where Files == PosixFileSystem {
    /// Verifies the store in a directory of the operating system's; see `run`.
    ///
    /// Compiled for these files in this module: called from another one, the generic form would run
    /// unspecialised, and slower.
    package static func runOnDisk(
        _ directory: String,
        isLive: Bool,
        progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(LogStoreError) -> VerifierReport {
        try run(PosixFileSystem(), directory: directory, isLive: isLive, progress: progress)
    }
}
