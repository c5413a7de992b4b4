import Base

/// Applies the log from a checkpoint's position on: steps 3 and 4 of recovery.
struct Replay<Files: FileSystem> {
    let files: Files
    let directory: String
    let store: StoreID
    let checkpoint: CheckpointContent?
    let segments: [UInt32]
    let packed: [SegmentFile]
    /// All forms of each segment on disk, by generation.
    var forms: [UInt32: [SegmentFile]]
    let scope: ReplayScope

    // What it leads to, beside the result of `run`.

    var segmentsRead = 0
    private(set) var recordsApplied = 0
    var bytesRead = 0
    private(set) var tornBytes = 0
    private(set) var tornFile: String?
    private(set) var tornOffset = 0
    /// What could not be read, with the entries that it took.
    private(set) var damage: [Damage] = []
    var lost = LostEntries()
    var unknownFiles: [String] = []
    /// Segment files that were never begun, or that the checkpoint names as dropped.
    var unfinished: [UInt32] = []
    /// Segments of which nothing is left in a file that is there.
    var unreadable: Set<UInt32> = []
    /// Segments whose file is there and that the disk does not open.
    private(set) var unopened: [UInt32] = []
    /// What `makeFinal` has to secure.
    var unsecured: [LogPart] = []

    var state: StoreState
    private var names: QueueNames
    private var nextGroup: UInt64?
    private var epoch: UInt64
    var position: LogPosition
    var end: LogPosition
    private var endIsSealed = true
    /// The file of the segment that was replayed last: its length now, and when it was begun.
    private var lastFile = (bytes: 0, preparedBytes: 0)
    private var lastVersion = SegmentHeader.formatVersion
    private var lastHeaderIsDamaged = false
    /// The replay ended in a segment where it was told to.
    private var wasStopped = false
    /// Where the log goes on in a segment that is there; nil if it goes on in a new one.
    var openEnd: LogPosition? { endIsSealed ? nil : end }
    /// The segment that was replayed last.
    var lastSegment: UInt32?
    /// Group numbers and sequences may jump: what came right before could not be read.
    var mayJump = false
    /// Queues whose sequences may have gone on in segments that are not here any more.
    var unseen: Set<UInt32> = []
    private var unit: [Operation] = []
    private var unitStart: Int?

    /// A record that waits for the end of its atomic unit.
    private enum Operation {
        case message(ReplayedMessage)
        case settle(SettleRecord)
        case requeue(RequeueRecord)
        case queue(QueueRecord, segment: UInt32)
        case delete(DeleteQueueRecord)
        case purge(PurgeRecord)
    }

    /// What a message record says, but for its headers and body.
    private struct ReplayedMessage {
        var entries: [(QueueID, EntrySequence)]
        let bytes: Int
        let time: UInt64
        let expires: UInt64
        let segment: UInt32
        let offset: Int
    }

    /// Where the log stands after the replay.
    struct Outcome {
        let state: StoreState
        let epoch: UInt64
        let nextGroup: UInt64
        let end: LogPosition
        let beginsSegment: Bool
        /// The segment at the log's end has an older version than those that are begun now.
        let isOlderFormat: Bool
        /// The length of the prepared file that the segment at `end` was made of; 0 = it was none.
        let preparedBytes: Int
    }

    init(
        files: Files,
        directory: String,
        store: StoreID,
        checkpoint: CheckpointContent?,
        segments: [UInt32],
        packed: [SegmentFile],
        scope: ReplayScope = ReplayScope()
    ) {
        self.files = files
        self.directory = directory
        self.store = store
        self.checkpoint = checkpoint
        self.segments = segments
        self.packed = packed
        forms = Dictionary(
            grouping: segments.map { SegmentFile(segment: $0, generation: 0) } + packed,
            by: \.segment
        )
        self.scope = scope
        state = checkpoint?.state ?? StoreState()
        names = QueueNames(state)
        nextGroup = checkpoint?.header.nextGroup
        epoch = checkpoint?.header.epoch ?? 0
        position =
            checkpoint?.header.position
            ?? LogPosition(
                segment: min(segments.first ?? .max, packed.first?.segment ?? segments.first ?? 1),
                offset: SegmentHeader.byteCount
            )
        end = position
    }

    func path(_ segment: UInt32) -> String {
        directory + "/" + FileNames.segment(segment)
    }

    mutating func run(now: WallTime) throws(LogStoreError) -> Outcome {
        sortOutForms()
        let live = Set(segments).union(packed.map(\.segment))
            .filter { $0 >= position.segment }.sorted()
        // Headers first: they say which files were begun.
        var begun: [UInt32] = []
        for segment in live {
            if let form = formToReplay(segment), form.isPacked {
                if try isOurs(form) {
                    begun.append(segment)
                } else {
                    unknownFiles.append(form.name)
                }
            } else if try isBegun(segment) {
                begun.append(segment)
            } else if usePackedForm(of: segment) {
                begun.append(segment)
            } else {
                unfinished.append(segment)
            }
        }
        noteUnreadable(lastBegun: begun.last)
        // Before the others, for gaps in them tell what it held.
        if checkpoint != nil, formToReplay(position.segment) == nil {
            addDamage(
                position.segment,
                0,
                position.offset,
                "the segment that the checkpoint ends in is missing"
            )
        }
        for (index, segment) in begun.enumerated() {
            // A segment is synced before the next one is begun, so a later one vouches for all of it.
            let isLast = index + 1 == begun.count
            var durable = max(position, scope.durable)
            if !isLast {
                durable = max(durable, LogPosition(segment: begun[index + 1], offset: 0))
            }
            if isPastEnd(LogPosition(segment: segment, offset: 0)) { break }
            noteMissing(before: segment)
            if let form = formToReplay(segment), form.isPacked {
                try replayPacked(form)
            } else {
                try replay(segment, durable: durable)
            }
            lastSegment = segment
            // Nor does the log go on before a position that a checkpoint counts as known.
            let isSpoiled = isLast && (noteCutOff(segment) || lastHeaderIsDamaged)
            if !endIsSealed, !isLast || end < position || isSpoiled { sealWithoutFooter(segment) }
        }
        damage = lost.resolved(state)
        return finish(lastBegun: begun.last)
    }

    private func finish(lastBegun: UInt32?) -> Outcome {
        let next = nextGroup ?? 1
        guard lastBegun != nil, !endIsSealed else {
            let number = max(lastBegun ?? 0, position.segment, state.segments.highest) + 1
            return Outcome(
                state: state,
                epoch: epoch,
                nextGroup: next,
                end: LogPosition(segment: number, offset: 0),
                beginsSegment: true,
                isOlderFormat: false,
                preparedBytes: 0
            )
        }
        return Outcome(
            state: state,
            epoch: epoch,
            nextGroup: next,
            end: end,
            beginsSegment: false,
            isOlderFormat: lastVersion < SegmentHeader.formatVersion,
            preparedBytes: lastFile.preparedBytes
        )
    }

    /// Whether a segment was begun: it has a header of its own, or a record anywhere, or the checkpoint
    /// was taken when it had records, whatever became of them.
    private func isBegun(_ segment: UInt32) throws(LogStoreError) -> Bool {
        var renamed: UInt32?
        do throws(FileError) {
            let file = try files.open(path(segment), .read)
            defer { files.close(file) }
            var reader = try BlockReader(files, file, blockBytes: 64 << 10)
            switch try headerState(&reader, segment) {
            // Whatever is wrong with a file of somebody else's, `replay` says it; none is removed.
            case .own, .foreign, .newer: return true
            case .other(let number): renamed = isMissed(number) ? number : nil
            case .damaged: break
            }
            if segment == position.segment, position.offset > SegmentHeader.byteCount {
                return true
            }
            if renamed == nil { return try hasRecord(segment, file) }
        } catch {
            // Its name says that it was begun, and `replay` what is wrong with it.
            if error.reason == .notFound || error.spoilsOneFile { return true }
            throw .file(error)
        }
        throw .unusable(
            file: path(segment),
            reason: "it is segment \(renamed ?? 0), which is missing; its name must be "
                + FileNames.segment(renamed ?? 0)
        )
    }

    /// Whether unsettled entries stand in a segment of which no file is there.
    private func isMissed(_ segment: UInt32) -> Bool {
        state.segments[segment]?.liveExtents ?? 0 > 0 && formToReplay(segment) == nil
    }

    /// Nothing of a segment is known, but that the log went on behind it.
    private mutating func loseWhole(_ segment: UInt32) {
        if state.segments[segment] == nil { state.segments.begin(segment) }
        if state.segments[segment]?.isSealed == false {
            // Known entries stand before the checkpoint's position, for a reader that can open it again.
            let known = segment == position.segment ? position.offset : 0
            end = LogPosition(segment: segment, offset: max(known, SegmentHeader.byteCount))
            sealWithoutFooter(segment)
        }
        mayJump = true
        endIsSealed = true
    }

    private enum HeaderState {
        case own(SegmentHeader)
        /// Another segment of this store: a dropped one whose file was made ready for this one.
        case other(UInt32)
        case damaged
        case newer(UInt32)
        case foreign
    }

    private func headerState(
        _ reader: inout BlockReader<Files>,
        _ segment: UInt32
    ) throws(FileError) -> HeaderState {
        guard try reader.load(0, SegmentHeader.byteCount) else { return .damaged }
        do throws(SegmentHeader.Fault) {
            let header = try SegmentHeader.decode(reader.window.span.bytes)
            guard header.store == store else { return .foreign }
            return header.segment == segment ? .own(header) : .other(header.segment)
        } catch {
            if case .newerVersion(let version) = error { return .newer(version) }
            return .damaged
        }
    }

    private func hasRecord(_ segment: UInt32, _ file: Files.File) throws(FileError) -> Bool {
        var reader = try BlockReader(files, file)
        let seed = store.seed(ofSegment: segment)
        var at = SegmentHeader.byteCount
        while try reader.load(at, RecordHeader.byteCount) {
            if try reader.soundHeader(at, seed: seed) != nil { return true }
            at += 8
        }
        return false
    }

    private mutating func replay(
        _ segment: UInt32,
        durable: LogPosition
    ) throws(LogStoreError) {
        let state: HeaderState
        do throws(FileError) {
            let file = try files.open(path(segment), .read)
            defer { files.close(file) }
            var reader = try BlockReader(files, file)
            state = try headerState(&reader, segment)
            switch state {
            case .own(let header):
                lastFile = (reader.size, header.preparedBytes)
                lastVersion = header.version
                lastHeaderIsDamaged = false
                try scan(reader, segment, durable: durable)
            case .damaged, .other:
                lastHeaderIsDamaged = true
                addDamage(segment, 0, SegmentHeader.byteCount, "the segment header is damaged")
                try scan(reader, segment, durable: durable)
            case .newer, .foreign: break
            }
        } catch {
            if scope.isLive, error.reason == .notFound { return try replayNewForm(segment) }
            guard error.operation == "open", error.reason == .notFound || error.spoilsOneFile else {
                throw .file(error)
            }
            if error.spoilsOneFile { unopened.append(segment) }
            addDamage(segment, 0, 0, "the file cannot be opened: \(error.detail)")
            loseWhole(segment)
            return
        }
        let files = StoreFiles(files: files, directory: directory)
        if case .newer(let version) = state { throw files.newerFormat(segment, version) }
        if case .foreign = state { throw .mixedStores(file: path(segment)) }
    }

    /// A prepared file is never shorter than it was, until its footer is there.
    ///
    /// True if this one is.
    private mutating func noteCutOff(_ segment: UInt32) -> Bool {
        let (bytes, preparedBytes) = lastFile
        // A replay that was told to stop did not look for the footer, behind which nothing is prepared.
        guard !endIsSealed, !wasStopped, bytes < preparedBytes else { return false }
        addDamage(segment, bytes, preparedBytes - bytes, "the end of the file was cut off")
        return true
    }

    private mutating func scan(
        _ reader: BlockReader<Files>,
        _ segment: UInt32,
        durable: LogPosition
    ) throws(FileError) {
        var start = ScanStart()
        start.durable = durable
        // Before the checkpoint's position only the places of messages are read again; their group
        // numbers are older than what the checkpoint has.
        let isKnownPart =
            segment == position.segment && position.offset > SegmentHeader.byteCount
        start.nextGroup = isKnownPart ? nil : nextGroup
        start.epoch = isKnownPart ? 0 : epoch
        if isKnownPart, let nextGroup {
            start.floor = ScanStart.Floor(
                offset: position.offset,
                nextGroup: nextGroup,
                epoch: epoch
            )
        }
        start.mayJump = mayJump
        start.isLive = scope.isLive
        if state.segments[segment] == nil { state.segments.begin(segment) }
        segmentsRead += 1
        mayJump = false
        scope.observer?.segmentBegins(segment, size: reader.size, isPacked: false)
        var scanner = SegmentScanner(reader, segment: segment, store: store, start: start)
        while true {
            let event = try scanner.next()
            let offset = scanner.eventOffset
            let place = LogPosition(segment: segment, offset: offset)
            if isPastEnd(place) {
                wasStopped = true
                finishScan(scanner, .clean, segment, durable: LogPosition(value: 0))
                return
            }
            scope.observer?.meets(
                event,
                at: place,
                in: scanner.reader.window.span.bytes,
                local: scanner.windowOffset,
                state: state
            )
            switch event {
            case .group:
                break
            case .record(let header):
                record(
                    header,
                    scanner.reader.window.span.bytes,
                    at: scanner.windowOffset,
                    segment,
                    offset: offset
                )
            case .damage(let range, let reason):
                // What is damaged was durable, and so was the end of the unit that it is in.
                endUnit()
                try addDamage(segment, range, reason, scanner.reader)
            case .end(let kind):
                noteUnsecured(scanner, upTo: offset)
                finishScan(scanner, kind, segment, durable: durable)
                return
            }
        }
    }

    private mutating func finishScan(
        _ scanner: SegmentScanner<Files>,
        _ kind: ScanEnd,
        _ segment: UInt32,
        durable: LogPosition
    ) {
        let offset = scanner.eventOffset
        let end = LogPosition(segment: segment, offset: offset)
        noteEarlyEnd(kind, at: end, durable)
        var kind = kind
        if kind == .torn || kind == .clean, end < durable {
            // What is missing was durable, and so was the end of the unit that it is in.
            endUnit()
            kind = .clean
        }
        nextGroup = max(nextGroup ?? 1, scanner.nextGroup ?? 1)
        epoch = max(epoch, scanner.epoch)
        bytesRead += offset
        segmentEnded(segment, kind, at: offset)
        scope.observer?.segmentEnds(
            segment,
            kind,
            end: end,
            state: state
        )
    }

    private mutating func segmentEnded(
        _ segment: UInt32,
        _ kind: ScanEnd,
        at offset: Int
    ) {
        switch kind {
        case .sealed(let footerOffset):
            state.segments.seal(segment, length: offset, footerOffset: footerOffset)
            for queue in state.queues.values where queue.isNamed(in: segment) {
                queue.endSegment()
            }
            endIsSealed = true
        case .clean, .torn:
            let cut = unitStart ?? offset
            if kind == .torn || cut < offset {
                tornBytes += max(8, offset - cut)
                tornFile = FileNames.segment(segment)
                tornOffset = cut
            }
            endIsSealed = false
            end = LogPosition(segment: segment, offset: cut)
        }
        unit = []
        unitStart = nil
    }

    /// The log went on in another segment, so this one was sealed, whatever became of its footer.
    private mutating func sealWithoutFooter(_ segment: UInt32) {
        endIsSealed = true
        mayJump = true
        state.segments.seal(segment, length: end.offset, footerOffset: 0)
        for queue in state.queues.values where queue.isNamed(in: segment) { queue.endSegment() }
    }

    /// A packed segment is done with; the log goes on in another one.
    mutating func sealPacked(_ segment: UInt32, length: Int) {
        endIsSealed = true
        mayJump = true
        end = LogPosition(segment: segment, offset: length)
        for queue in state.queues.values where queue.isNamed(in: segment) { queue.endSegment() }
    }

    // MARK: Records

    /// Applies one record of a packed segment: by itself, for atomic units were whole when it was
    /// packed.
    mutating func applyPacked(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        _ segment: UInt32,
        offset: Int,
        listed: [QueueID: Postings]?
    ) {
        recordsApplied += 1
        let operation = decode(header, bytes, at: local, segment, offset: offset)
        guard case .message(var message) = operation else {
            if let operation { apply(operation) }
            return
        }
        if let listed {
            // The others were settled, and perhaps by a record that is gone.
            message.entries.removeAll { id, sequence in
                if listed[id]?.offset(of: sequence.value) == offset { return false }
                state.queue(id)?.raiseNextSequence(to: sequence.value + 1)
                return true
            }
        }
        unseen.formUnion(message.entries.map { $0.0.value })
        apply(.message(message))
    }

    private mutating func record(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        _ segment: UInt32,
        offset: Int
    ) {
        if LogPosition(segment: segment, offset: offset) < position {
            restorePlaces(header, bytes, at: local, segment, offset: offset)
            return
        }
        recordsApplied += 1
        if let operation = decode(header, bytes, at: local, segment, offset: offset) {
            if header.continues {
                if unit.isEmpty { unitStart = offset }
                unit.append(operation)
                return
            }
            endUnit()
            apply(operation)
        } else if header.kind == .unitEnd {
            endUnit()
        } else if header.kind == .footer {
            readFooter(header, bytes, at: local, segment)
        } else {
            let reason = "a record of kind \(header.kind) contradicts itself"
            addDamage(segment, offset, header.length, reason)
        }
    }

    private mutating func endUnit() {
        for operation in unit { apply(operation) }
        unit.removeAll(keepingCapacity: true)
        unitStart = nil
    }

    private func restorePlaces(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        _ segment: UInt32,
        offset: Int
    ) {
        if let record = QueueRecord(header, bytes, at: local) {
            if let queue = state.queue(record.queue), !queue.isNamed(in: segment) {
                queue.beginSegment(segment)
            }
        } else if let record = MessageRecord(header, bytes, at: local) {
            for index in 0..<record.entryCount {
                let (id, sequence) = record.entry(index, in: bytes)
                guard let queue = state.queue(id) else { continue }
                if !queue.isNamed(in: segment) { queue.beginSegment(segment) }
                queue.restoreOffset(sequence.value, offset: UInt32(offset))
            }
        }
    }

    private func decode(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        _ segment: UInt32,
        offset: Int
    ) -> Operation? {
        switch header.kind {
        case .message:
            guard let record = MessageRecord(header, bytes, at: local) else { return nil }
            let entries = (0..<record.entryCount).map { record.entry($0, in: bytes) }
            return .message(
                ReplayedMessage(
                    entries: entries,
                    bytes: record.messageBytes,
                    time: record.timeMilliseconds,
                    expires: record.expiresMilliseconds,
                    segment: segment,
                    offset: offset
                )
            )
        case .settle, .settleOfQueue:
            return SettleRecord(header, bytes, at: local).map { .settle($0) }
        case .requeue: return RequeueRecord(header, bytes, at: local).map { .requeue($0) }
        case .queue:
            return QueueRecord(header, bytes, at: local).map { .queue($0, segment: segment) }
        case .deleteQueue: return DeleteQueueRecord(header).map { .delete($0) }
        case .purge: return PurgeRecord(header, bytes, at: local).map { .purge($0) }
        case .group, .footer, .unitEnd, .block, .index: return nil
        }
    }

    private mutating func apply(_ operation: Operation) {
        switch operation {
        case .message(let message):
            for (id, sequence) in message.entries { append(sequence, of: id, message) }
        case .settle(let record):
            settle(record)
        case .requeue(let record):
            state.queue(record.queue)?.requeue(record.sequence, record.requeue)
        case .queue(let record, let segment):
            if let queue = state.queue(record.queue) {
                noteLost(queue, upTo: record.nextSequence)
            }
            let queue = names.name(record, in: state)
            if !queue.isNamed(in: segment) { queue.beginSegment(segment) }
        case .delete(let record):
            names.delete(record.queue, in: state)
        case .purge(let record):
            if let queue = state.queue(record.queue) { state.purge(queue, below: record.below) }
        }
    }

    private mutating func append(
        _ sequence: EntrySequence,
        of id: QueueID,
        _ message: ReplayedMessage
    ) {
        let queue =
            state.queue(id)
            ?? names.makeUnnamed(id, nextSequence: sequence.value, in: state)
        guard sequence.value >= queue.nextSequence else { return }
        noteLost(queue, upTo: sequence.value)
        // Its name's record may be damaged.
        if !queue.isNamed(in: message.segment) { queue.beginSegment(message.segment) }
        state.append(
            to: queue,
            sequence.value,
            bytes: message.bytes,
            time: message.time,
            expires: message.expires,
            segment: message.segment,
            offset: message.offset
        )
    }

    /// Settles what a record lists.
    ///
    /// A run's bytes are a sum, so each entry gets its share of the rest.
    private func settle(_ record: SettleRecord) {
        for run in record.runs {
            guard let queue = state.queue(run.queue) else { continue }
            var left = UInt64(run.count)
            var bytes = run.bytes
            for sequence in run.range.first..<run.range.end {
                let share = bytes / left
                _ = state.settle(queue, sequence, bytes: Int(share))
                bytes -= share
                left -= 1
            }
        }
    }
}
