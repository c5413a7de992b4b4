import Base

/// Looks at a store as the next start would find it, and changes nothing.
///
/// Reads the checkpoint, the log behind it, and of each segment the head, the footer and the records
/// of the queues' oldest entries. A segment is walked through group by group only where neither the
/// checkpoint nor the segment after it says how it ends.
package struct Inspector<Files: FileSystem> {
    private let opened: InspectorDirectory<Files>
    private var report: InspectorReport
    /// The dead segments that the checkpoint in use lists all the same, with the time of the last
    /// settle.
    private var retained: [UInt32: UInt64] = [:]

    /// Inspects the store in `directory`.
    ///
    /// Fails where there is nothing to look at: no store, no rights, a newer format, a directory in
    /// use (unless `isLive`). Blocks.
    package static func run(
        _ files: Files,
        directory: String,
        isLive: Bool = false
    ) throws(LogStoreError) -> InspectorReport {
        let opened = try InspectorDirectory(files, directory: directory, isLive: isLive)
        defer { opened.close() }
        var inspector = Inspector(opened: opened)
        try inspector.inspect()
        return inspector.report
    }

    private init(opened: InspectorDirectory<Files>) {
        self.opened = opened
        report = InspectorReport(store: opened.store.description)
    }

    private mutating func inspect() throws(LogStoreError) {
        var content: CheckpointContent?
        if let newest = opened.checkpoints.last { content = try opened.content(newest) }
        report.checkpointInUse = content?.header.number
        report.checkpointPosition = content?.header.position
        if let segments = content?.state.segments {
            for number in segments.dead { retained[number] = segments[number]?.settledMilliseconds }
        }
        var replay = Replay(
            files: opened.files,
            directory: opened.directory,
            store: opened.store,
            checkpoint: content,
            segments: opened.listing.segments,
            packed: opened.listing.packed,
            scope: opened.scope
        )
        let outcome = try replay.run(now: WallTime(milliseconds: 0))
        report.epoch = outcome.epoch
        report.end = outcome.end
        report.tornBytes = replay.tornBytes
        report.tornFile = replay.tornFile
        report.damage = replay.damage
        addQueues(outcome.state)
        try addSegments(outcome, unknown: replay.unknownFiles, unfinished: replay.unfinished)
        try addOtherFiles()
    }

    private mutating func addQueues(_ state: StoreState) {
        for queue in state.queues.values {
            report.queues.append(
                .init(
                    id: queue.id,
                    name: queue.name,
                    messages: queue.liveCount,
                    bytes: queue.liveBytes,
                    oldest: queue.extents.isEmpty ? nil : EntrySequence(queue.firstSequence),
                    next: EntrySequence(queue.nextSequence),
                    requeued: queue.requeues.count
                )
            )
        }
    }

    private mutating func addOtherFiles() throws(LogStoreError) {
        report.onDiskBytes = report.segments.reduce(0) { $0 + $1.fileBytes }
        var names = opened.listing.temporary + opened.listing.unknown
        names += opened.listing.checkpoints.map { FileNames.checkpoint($0) }
        names += opened.listing.quarantined.map(\.name)
        report.quarantined = opened.listing.quarantined
        for name in names { report.onDiskBytes += try size(name) ?? 0 }
        report.spareFiles = opened.listing.temporary.count { $0.hasPrefix("spare-") }
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
        for name in opened.listing.unknown {
            report.notes.append("\(name) is no file of the store's")
        }
    }

    /// A file's length; nil if a daemon removed it meanwhile.
    private func size(_ name: String) throws(LogStoreError) -> Int? {
        try withFile(name) { (file) throws(FileError) in try opened.files.size(file) }
    }

    private func withFile<Result>(
        _ name: String,
        _ body: (Files.File) throws(FileError) -> Result
    ) throws(LogStoreError) -> Result? {
        do throws(FileError) {
            let file = try opened.files.open(opened.storeFiles.path(name), .read)
            defer { opened.files.close(file) }
            return try body(file)
        } catch {
            if opened.isLive, error.reason == .notFound { return nil }
            throw .file(error)
        }
    }
}

// MARK: - Segments

extension Inspector {
    /// What a look into one segment file brings.
    private struct Look {
        var fileBytes = 0
        var firstGroup: UInt64?
        var lastGroup: UInt64?
        var usedBytes = 0
        var isSealed = false
        /// When entries were taken, by queue.
        var times: [QueueID: UInt64] = [:]
    }

    private mutating func addSegments(
        _ outcome: Replay<Files>.Outcome,
        unknown: [String],
        unfinished: [UInt32]
    ) throws(LogStoreError) {
        let state = outcome.state
        var live: [UInt32: (entries: Int, queues: Int, bytes: UInt64)] = [:]
        var oldest: [UInt32: [QueueState]] = [:]
        for queue in state.queues.values {
            var last: UInt32?
            for extent in queue.extents {
                var sum = live[extent.segment] ?? (0, 0, 0)
                sum.entries += Int(extent.liveCount)
                sum.bytes += extent.liveBytes
                if last != extent.segment { sum.queues += 1 }
                last = extent.segment
                live[extent.segment] = sum
            }
            if let first = queue.extents.first { oldest[first.segment, default: []].append(queue) }
        }
        var times: [QueueID: UInt64] = [:]
        for number in opened.listing.segments {
            let wanted = (oldest[number] ?? []).sorted { $0.id < $1.id }
            let isActive = !outcome.beginsSegment && outcome.end.segment == number
            guard var look = try look(number, state, wanted, isActive) else { continue }
            if isActive {
                look.usedBytes = outcome.end.offset
                look.lastGroup = outcome.nextGroup - 1
            }
            times.merge(look.times) { first, _ in first }
            let sum = live[number] ?? (0, 0, 0)
            let keep: InspectorReport.Keep =
                if unfinished.contains(number) {
                    .neverBegun
                } else if unknown.contains(FileNames.segment(number)) {
                    .unknown
                } else if state.segments[number]?.generation != 0 {
                    .dropped
                } else if isActive {
                    .active
                } else if sum.entries > 0 {
                    .holdsEntries(entries: sum.entries, queues: sum.queues)
                } else { nothingLive(number) }
            report.segments.append(
                .init(
                    number: number,
                    file: FileNames.segment(number),
                    fileBytes: look.fileBytes,
                    usedBytes: look.usedBytes,
                    isSealed: look.isSealed,
                    firstGroup: look.firstGroup,
                    lastGroup: look.lastGroup,
                    liveBytes: sum.bytes,
                    keep: keep
                )
            )
        }
        for file in opened.listing.packed {
            try addPacked(file, state, live[file.segment] ?? (0, 0, 0))
        }
        report.segments.sort { ($0.number, $0.file) < ($1.number, $1.file) }
        for index in report.queues.indices {
            report.queues[index].oldestMilliseconds = times[report.queues[index].id]
        }
    }

    private func nothingLive(_ number: UInt32) -> InspectorReport.Keep {
        guard let since = retained[number] else { return .awaitsCheckpoint }
        return .retained(since: since > 0 ? since : nil)
    }

    private mutating func addPacked(
        _ file: SegmentFile,
        _ state: StoreState,
        _ sum: (entries: Int, queues: Int, bytes: UInt64)
    ) throws(LogStoreError) {
        guard let bytes = try size(file.name) else { return }
        let isServing = state.segments[file.segment]?.file == file
        report.segments.append(
            .init(
                number: file.segment,
                file: file.name,
                fileBytes: bytes,
                usedBytes: bytes,
                isSealed: true,
                firstGroup: nil,
                lastGroup: nil,
                liveBytes: isServing ? sum.bytes : 0,
                keep: !isServing
                    ? .dropped
                    : sum.entries > 0
                        ? .holdsEntries(entries: sum.entries, queues: sum.queues)
                        : nothingLive(file.segment)
            )
        )
    }

    private func look(
        _ number: UInt32,
        _ state: StoreState,
        _ wanted: [QueueState],
        _ isActive: Bool
    ) throws(LogStoreError) -> Look? {
        try withFile(FileNames.segment(number)) { (file) throws(FileError) in
            var reader = try BlockReader(opened.files, file, blockBytes: 64 << 10)
            let seed = opened.store.seed(ofSegment: number)
            var look = Look(fileBytes: reader.size)
            let info = state.segments[number]
            if let info, info.isSealed, opened.listing.segments.contains(number + 1) {
                look.firstGroup = try group(&reader, seed, SegmentHeader.byteCount)?.number
                look.lastGroup = try firstGroup(ofSegment: number + 1).map { $0 - 1 }
                look.usedBytes = info.length
                look.isSealed = true
            } else if isActive {
                look.firstGroup = try group(&reader, seed, SegmentHeader.byteCount)?.number
            } else {
                try walkGroups(&reader, seed, &look)
            }
            var offsets: [QueueID: Int] = [:]
            if let footer = state.segments[number]?.footerOffset, footer > 0 {
                offsets = try footerOffsets(&reader, seed, footer, wanted)
            }
            for queue in wanted where queue.isNamed(in: number) {
                let index = queue.firstSequence &- queue.activeFirst
                if index < UInt64(queue.activeOffsets.count) {
                    offsets[queue.id] = Int(queue.activeOffsets[Int(index)])
                }
            }
            for (queue, offset) in offsets {
                guard let header = try reader.soundHeader(offset, seed: seed),
                    let record = MessageRecord(
                        header,
                        reader.window.span.bytes,
                        at: offset - reader.start
                    )
                else { continue }
                look.times[queue] = record.timeMilliseconds
            }
            return look
        }
    }

    /// Hops from group to group by their lengths.
    private func walkGroups(
        _ reader: inout BlockReader<Files>,
        _ seed: UInt32,
        _ look: inout Look
    ) throws(FileError) {
        var at = SegmentHeader.byteCount
        while let group = try group(&reader, seed, at),
            look.lastGroup.map({ group.number == $0 + 1 }) ?? true,
            at + group.groupBytes <= reader.size
        {
            look.firstGroup = look.firstGroup ?? group.number
            look.lastGroup = group.number
            at += group.groupBytes
        }
        look.usedBytes = at
        // The footer closes the last group; its last field says where it begins.
        guard at > SegmentHeader.byteCount, try reader.load(at - 8, 8) else { return }
        let offset = Int(
            truncatingIfNeeded: reader.window.span.bytes.uint64(at: at - 8 - reader.start)
        )
        if offset > 0, offset < at, let header = try reader.soundHeader(offset, seed: seed) {
            look.isSealed = header.kind == .footer && offset + header.length == at
        }
    }

    private func group(
        _ reader: inout BlockReader<Files>,
        _ seed: UInt32,
        _ offset: Int
    ) throws(FileError) -> GroupRecord? {
        guard let header = try reader.soundHeader(offset, seed: seed) else { return nil }
        return GroupRecord(header, reader.window.span.bytes, at: offset - reader.start)
    }

    private func firstGroup(ofSegment number: UInt32) throws(FileError) -> UInt64? {
        let path = opened.storeFiles.path(FileNames.segment(number))
        let file = try opened.files.open(path, .read)
        defer { opened.files.close(file) }
        var reader = try BlockReader(opened.files, file, blockBytes: 4096)
        let seed = opened.store.seed(ofSegment: number)
        return try group(&reader, seed, SegmentHeader.byteCount)?.number
    }

    /// Where the oldest entries of the queues stand, by the footer.
    private func footerOffsets(
        _ reader: inout BlockReader<Files>,
        _ seed: UInt32,
        _ offset: Int,
        _ wanted: [QueueState]
    ) throws(FileError) -> [QueueID: Int] {
        guard !wanted.isEmpty, let header = try reader.soundHeader(offset, seed: seed),
            let footer = SegmentFooter(
                header,
                reader.window.span.bytes,
                at: offset - reader.start
            )
        else { return [:] }
        var offsets: [QueueID: Int] = [:]
        for queue in wanted {
            guard let line = footer.lines.first(where: { $0.queue == queue.id }),
                let postings = SegmentFooter.postings(
                    of: line,
                    in: reader.window.span.bytes,
                    at: offset - reader.start
                )
            else { continue }
            offsets[queue.id] = postings.offset(of: queue.firstSequence)
        }
        return offsets
    }
}

extension Inspector where Files == PosixFileSystem {
    /// Inspects the store in a directory of the operating system's; see `run`.
    package static func runOnDisk(
        _ directory: String,
        isLive: Bool
    ) throws(LogStoreError) -> InspectorReport {
        try run(PosixFileSystem(), directory: directory, isLive: isLive)
    }
}
