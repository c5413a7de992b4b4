package import Base

/// The store's state machine: records are appended here, applied at once, and handed out as jobs.
///
/// It performs no I/O, has no threads and reads no clock. The owner calls `submit` once per turn,
/// performs what `takeJobs` gives (`StoreDriver` does, on threads), brings results to `complete`, and
/// reads `takeNotices`. Nothing that was appended is durable before `.durable` says so.
///
/// After a failed write or sync the store has ended: settles, requeues, purges and deletions have no
/// effect any more, and the owner sends no further message.
///
/// Confinement: broker loop.
package final class LogStore {
    package let options: LogStoreOptions
    package let id: StoreID
    let state: StoreState
    let epoch: UInt64
    var tail: LogTail
    var postings: PostingCache

    // The active segment.

    var seed: UInt32
    /// Queues that are named in the active segment, in the order of their first use there.
    var activeQueues: [QueueState] = []
    /// An upper bound for the footer that the active segment would get now.
    var footerBytes = SegmentFooter.emptyBytesMax
    /// The active segment's file has all its blocks, so that a sync need not find any.
    var isActivePrepared: Bool

    // The open group.

    var groupStart: LogPosition?
    var nextGroup: UInt64
    var isInUnit = false
    var pendingSettles = PendingSettles()
    /// When the first of these settles was left for later.
    private var settlesSince: MonotonicTime?
    /// Somebody waits for what was appended in this turn.
    private var isAwaited = false

    // What the writer has and had.

    var steps: [WriteJob.Step] = []
    var handedTo: LogPosition
    var handedBytes = 0
    var isWriting = false
    var writtenTo: LogPosition
    /// Reads that wait until their segment's footer is written.
    var readsBehindSeal: [ReadJob] = []
    /// Reads that failed for now, for the next tick.
    var readsToRetry: [ReadJob] = []
    var syncedTo: LogPosition
    var syncedAt = MonotonicTime(nanoseconds: 0)
    var unconfirmedBytes = 0
    var durableGroup: UInt64
    var failure: FileError?
    var isPressing = false

    // Maintenance.

    /// The active segment when the last turn ended.
    private var lastSegment: UInt32
    var spares: [Spare] = []
    var nextSpare: UInt64 = 1
    var isPreparing = false
    /// Files of dropped segments that will be made ready when one that is was taken.
    var recyclable: [SegmentFile] = []
    var spareRefusal: String?
    var writeRefusal: String?
    var space = SpaceAccount()
    /// The rest of a write that found the disk full, or no file descriptor, for the next tick.
    var blockedWrite: WriteJob?
    /// Dropped files that could not be removed, for the next tick.
    var removalsToRetry: [SegmentFile] = []
    var announcedRefusal: String?
    var checkpointWanted = true
    var forcesSync = false
    var capturedCheckpoint: (job: CheckpointJob, position: LogPosition)?
    var isCheckpointing = false
    var checkpointFailed = false
    var checkpoints: [UInt64]
    /// Checkpoints that failed, of which a file may be left nevertheless.
    var strayCheckpoints: [UInt64] = []
    var nextCheckpoint: UInt64
    var checkpointedAt = MonotonicTime(nanoseconds: 0)
    /// Bytes of the last checkpoint, and of segments sealed since.
    var checkpointBytes = 0
    var sealedBytes = 0
    var openReads = 0

    // Packing.

    var isPacking = false
    var packNotBefore = MonotonicTime(nanoseconds: 0)
    /// Segments to pack, the best last; listed anew from `rankNotBefore` on.
    var packCandidates: [PackCandidate] = []
    var rankNotBefore = MonotonicTime(nanoseconds: 0)
    var firstTick: MonotonicTime?
    /// Everything before it is in a checkpoint that is on disk; nil until one was written.
    var checkpointedTo: LogPosition?
    /// When segments were sealed or last read from disk.
    var restingSince: [UInt32: MonotonicTime] = [:]
    /// Segments in which packing met damage, and those that compression does not make smaller.
    var unpackable: Set<UInt32> = []
    var incompressible: Set<UInt32> = []
    /// Whether hardly anything was appended or read in the last tick.
    var isQuiet = false
    var quietEnd = LogPosition(value: 0)
    var readsSinceTick = 0
    /// The time of the last turn, and by the wall clock of the last tick.
    var turnTime = MonotonicTime(nanoseconds: 0)
    var wallTime = WallTime(milliseconds: 0)

    var jobs: [StoreJob] = []
    var notices: [StoreNotice] = []

    /// Begins where recovery ended.
    ///
    /// `Recovery.open` calls this.
    init(_ recovered: RecoveredLog, options: LogStoreOptions) {
        self.options = options
        id = recovered.store
        state = recovered.state
        epoch = recovered.epoch
        nextGroup = recovered.nextGroup
        durableGroup = recovered.nextGroup - 1
        checkpoints = recovered.checkpoints
        nextCheckpoint = recovered.nextCheckpoint
        let end = recovered.end
        seed = recovered.store.seed(ofSegment: end.segment)
        lastSegment = end.segment
        tail = LogTail(
            chunkBytes: min(options.chunkBytes, options.segmentBytes),
            bytesMax: options.tailBytes,
            at: end
        )
        handedTo = end
        writtenTo = end
        syncedTo = end
        isActivePrepared = recovered.preparedBytes >= SpareJob.leastBytes(of: options.segmentBytes)
        postings = PostingCache(bytesMax: options.postingCacheBytes)
        if recovered.beginsSegment {
            state.segments.begin(end.segment)
            beginSegment(spare: nil, createdMilliseconds: recovered.createdMilliseconds)
        } else {
            for queue in state.queues.values where queue.isNamed(in: end.segment) {
                activeQueues.append(queue)
                footerBytes += footerBytesBound(entries: queue.activeOffsets.count)
            }
        }
        prepareSpare()
        askForSpace()
        // An older program must refuse by name what it cannot read, and finds the version at a segment's head.
        if recovered.isOlderFormat { roll() }
    }

    // MARK: Reading state

    /// The group that covers everything appended so far, or nil if all of that is durable.
    package var pendingGroup: UInt64? {
        if groupStart != nil || !pendingSettles.isEmpty { return nextGroup }
        return nextGroup - 1 > durableGroup ? nextGroup - 1 : nil
    }

    /// Why new messages are refused at the moment; settles go on.
    package var refusal: String? { announcedRefusal }

    /// Whether the last checkpoint and everything in the log is on disk.
    package var isIdle: Bool {
        !isWriting && !isCheckpointing && !isPreparing && openReads == 0 && jobs.isEmpty
            && pendingGroup == nil && capturedCheckpoint == nil && !checkpointWanted
    }

    /// Counts and bounds of one queue, or nil if there is no such queue.
    package func depth(
        _ id: QueueID
    ) -> (messages: Int, bytes: UInt64, first: EntrySequence, next: EntrySequence)? {
        guard let queue = state.queue(id) else { return nil }
        return (
            queue.liveCount, queue.liveBytes, EntrySequence(queue.firstSequence),
            EntrySequence(queue.nextSequence)
        )
    }

    /// All queues with their names, in the order of their ids.
    package var queueNames: [(id: QueueID, name: String)] {
        state.queues.values.map { ($0.id, $0.name) }
    }

    /// The unsettled entries of a queue that came back once, in rising order.
    package func requeued(_ id: QueueID) -> [(sequence: EntrySequence, requeue: Requeue)] {
        (state.queue(id)?.requeues ?? [:]).sorted { $0.key < $1.key }.map {
            (EntrySequence($0.key), $0.value)
        }
    }

    /// Bounds on the times of a queue's unsettled entries, in rising order: in the run that begins at
    /// `first`, no message expires before `expires` or was taken before `taken`, in ms since 1970.
    package func times(
        _ id: QueueID
    ) -> [(first: EntrySequence, expires: UInt64, taken: UInt64)] {
        (state.queue(id)?.extents ?? []).map {
            (EntrySequence($0.first), $0.times.expires, $0.times.taken)
        }
    }

    // MARK: Appending

    /// Creates a queue, under a name that no other one has.
    ///
    /// To the reader of a damaged log a name that is given again proves that nobody else has it any more.
    package func declare(_ name: String) -> QueueID {
        let id = QueueID(state.nextQueueID)
        let length = QueueRecord.length(nameBytes: name.utf8.count)
        prepare(length)
        let queue = state.name(id, name, nextSequence: 1)
        appendName(of: queue)
        return id
    }

    /// Removes a queue with all its entries.
    package func delete(_ id: QueueID) {
        guard failure == nil, let queue = state.queue(id) else { return }
        flushSettles()
        activeQueues.removeAll { $0 === queue }
        prepare(DeleteQueueRecord.length)
        append(DeleteQueueRecord.length) { span, flags, seed in
            DeleteQueueRecord(queue: id).append(to: &span, flags: flags, seed: seed)
        }
        state.delete(id)
    }

    /// Appends one message to one queue; returns its sequence there, or nil for an unknown queue.
    ///
    /// `expires` in ms since 1970, 0 = never.
    package func enqueue(
        headers: RawSpan,
        body: RawSpan,
        to id: QueueID,
        at time: WallTime,
        expires: UInt64 = 0
    ) -> EntrySequence? {
        guard let queue = state.queue(id) else { return nil }
        let length = MessageRecord.length(
            headers: headers.byteCount,
            body: body.byteCount,
            entries: 1,
            expires: expires
        )
        prepare(length)
        if !queue.isNamed(in: tail.segment) { appendName(of: queue) }
        let sequence = queue.nextSequence
        let offset = append(length) { span, flags, seed in
            MessageRecord.append(
                to: &span,
                queue: id,
                sequence: sequence,
                time: time.milliseconds,
                expires: expires,
                headers: headers,
                body: body,
                flags: flags,
                seed: seed
            )
        }
        state.append(
            to: queue,
            sequence,
            bytes: headers.byteCount + body.byteCount,
            time: time.milliseconds,
            expires: expires,
            segment: tail.segment,
            offset: offset
        )
        footerBytes += SegmentFooter.entryBytesMax
        return EntrySequence(sequence)
    }

    /// Appends one message with an entry in each of several queues; sequences in their order.
    ///
    /// Unknown queues are left out of the entries and of the result.
    package func enqueue(
        headers: RawSpan,
        body: RawSpan,
        toAll ids: [QueueID],
        at time: WallTime,
        expires: UInt64 = 0
    ) -> [EntrySequence] {
        let queues = ids.compactMap { state.queue($0) }
        guard !queues.isEmpty else { return [] }
        let length = MessageRecord.length(
            headers: headers.byteCount,
            body: body.byteCount,
            entries: queues.count,
            expires: expires
        )
        prepare(length)
        for queue in queues where !queue.isNamed(in: tail.segment) { appendName(of: queue) }
        let entries = queues.map { ($0.id, $0.nextSequence) }
        let offset = append(length) { span, flags, seed in
            MessageRecord.append(
                to: &span,
                entries: entries,
                time: time.milliseconds,
                expires: expires,
                headers: headers,
                body: body,
                flags: flags,
                seed: seed
            )
        }
        for (queue, entry) in zip(queues, entries) {
            state.append(
                to: queue,
                entry.1,
                bytes: headers.byteCount + body.byteCount,
                time: time.milliseconds,
                expires: expires,
                segment: tail.segment,
                offset: offset
            )
            footerBytes += SegmentFooter.entryBytesMax
        }
        return entries.map { EntrySequence($0.1) }
    }

    /// Says that an entry is done; false if it is unknown or was done before.
    ///
    /// The record follows at the turn's end or, if nobody waits for it, within `settleDelay`, merged
    /// with the others.
    @discardableResult
    package func settle(
        _ id: QueueID,
        _ sequence: EntrySequence,
        bytes: Int?,
        reason: UInt8
    ) -> Bool {
        guard failure == nil, let queue = state.queue(id),
            let freed = state.settle(queue, sequence.value, bytes: bytes)
        else { return false }
        if pendingSettles.isFull { appendSettles() }
        pendingSettles.add(sequence.value, bytes: freed, reason: reason, of: queue)
        return true
    }

    /// Records that an entry came back.
    package func requeue(_ id: QueueID, _ sequence: EntrySequence, _ requeue: Requeue) {
        guard failure == nil, let queue = state.queue(id) else { return }
        prepare(RequeueRecord.length)
        append(RequeueRecord.length) { span, flags, seed in
            RequeueRecord(queue: id, sequence: sequence.value, requeue)
                .append(to: &span, flags: flags, seed: seed)
        }
        queue.requeue(sequence.value, requeue)
    }

    /// Settles every entry of a queue below `end`, as one record.
    package func purge(_ id: QueueID, below end: EntrySequence) {
        guard failure == nil, let queue = state.queue(id) else { return }
        prepare(PurgeRecord.length)
        append(PurgeRecord.length) { span, flags, seed in
            PurgeRecord(queue: id, below: end.value).append(to: &span, flags: flags, seed: seed)
        }
        state.purge(queue, below: end.value)
    }

    /// Makes everything until `endUnit` atomic.
    ///
    /// `bytes` is about what its messages come to, so that a unit larger than the rest of the
    /// segment begins a new one.
    package func beginUnit(bytes: Int) {
        invariant(!isInUnit, "an atomic unit inside another")
        flushSettles()
        prepare(bytes)
        isInUnit = true
    }

    /// Ends the atomic unit.
    package func endUnit() {
        invariant(isInUnit, "the end of an atomic unit that was not begun")
        flushSettles()
        openGroup()
        tail.reserve(UnitEndRecord.length)
        let seed = Checksum.seed(seed, at: tail.end.offset)
        tail.append { UnitEndRecord.append(to: &$0, seed: seed) }
        unconfirmedBytes += UnitEndRecord.length
        isInUnit = false
    }

    /// Begins a new segment if the next record would not fit, unless a unit is open: a unit never
    /// straddles segments, it rather makes one longer.
    @inline(__always)
    func prepare(_ length: Int) {
        let room = options.segmentBytes - tail.end.offset - footerBytes
        if !isInUnit, length + GroupRecord.length + 512 > room, tail.end.offset > 1024 { roll() }
    }

    /// Appends one record of `length` bytes and returns its offset.
    @inline(__always)
    @discardableResult
    func append(
        _ length: Int,
        _ encode: (inout OutputRawSpan, UInt8, UInt32) -> Void
    ) -> Int {
        invariant(failure == nil, "an append to a store that has ended")
        if groupStart == nil { openGroup() }
        tail.reserve(length)
        let offset = tail.end.offset
        let flags = isInUnit ? RecordHeader.continues : 0
        let seed = Checksum.seed(seed, at: offset)
        tail.append { encode(&$0, flags, seed) }
        unconfirmedBytes += length
        return offset
    }

    func appendName(of queue: QueueState) {
        let record = QueueRecord(
            queue: queue.id,
            nextSequence: queue.nextSequence,
            name: queue.name
        )
        append(QueueRecord.length(nameBytes: queue.name.utf8.count)) { span, flags, seed in
            record.append(to: &span, flags: flags, seed: seed)
        }
        queue.beginSegment(tail.segment)
        activeQueues.append(queue)
        footerBytes += footerBytesBound(entries: 0)
    }

    func footerBytesBound(entries: Int) -> Int {
        SegmentFooter.tableEntryByteCount + entries * SegmentFooter.entryBytesMax
    }

    /// Whether the settles of this turn are to be written with it: something else is, or somebody waits
    /// for them, or they have waited long enough.
    private func areSettlesDue(_ now: MonotonicTime) -> Bool {
        guard groupStart == nil, !isAwaited, options.settleDelay != .zero else { return true }
        if pendingSettles.isEmpty { return false }
        let since = settlesSince ?? now
        settlesSince = since
        return now >= since.advanced(by: options.settleDelay)
    }

    func flushSettles() {
        settlesSince = nil
        if !pendingSettles.isEmpty { appendSettles() }
    }

    private func appendSettles() {
        append(SettleRecord.length(runs: pendingSettles.count)) { span, flags, seed in
            SettleRecord.append(
                to: &span,
                pendingSettles,
                flags: flags,
                seed: seed
            )
        }
        pendingSettles.removeAll()
    }

    // MARK: Turns

    /// Ends a turn: hands what was appended to the writer if it is free.
    ///
    /// Call once per turn, and after `complete`.
    package func submit(now: MonotonicTime) {
        guard failure == nil else { return }
        turnTime = now
        if areSettlesDue(now) { flushSettles() }
        isAwaited = false
        // Settles never begin a segment by themselves, so that a merged record stays in the group it
        // was promised for; a segment that they filled is sealed here.
        let margin = min(options.segmentBytes / 64, 1 << 20)
        if tail.end.offset + footerBytes + margin > options.segmentBytes || isPreparedBetter {
            roll()
        }
        // Both take long where there are many queues, so not in the same turn.
        if tail.segment == lastSegment { captureCheckpoint(now: now) }
        lastSegment = tail.segment
        if !isWriting { handOver(now: now) }
        prepareSpareInTime()
        updatePressure()
    }

    /// Has what was appended so far written at the turn's end: somebody waits until it is durable.
    package func hasten() { isAwaited = true }

    /// When `submit` must be called for settles that wait; nil if none do.
    package var settlesDue: MonotonicTime? { settlesSince?.advanced(by: options.settleDelay) }

    /// Does what time alone brings: late syncs, checkpoints that give disk back, retries after a
    /// full disk.
    ///
    /// Call about once a second, and at the `fsync` interval if there is one.
    package func tick(_ instant: Instant) {
        guard failure == nil else { return }
        let now = instant.monotonic
        noteTime(instant.wall)
        if checkpointFailed || state.segments.hasFilesToLeave || !droppable().isEmpty,
            now.since(checkpointedAt) >= checkpointInterval
        {
            checkpointWanted = true
        }
        if case .every = options.fsync, syncedTo < writtenTo, isSyncDue(now) { forcesSync = true }
        if isQuiet { giveUpRecyclable() }
        prepareSpare()
        for job in readsToRetry { jobs.append(.read(job)) }
        readsToRetry = []
        if let job = blockedWrite { jobs.append(.write(job)) }
        blockedWrite = nil
        if !removalsToRetry.isEmpty { jobs.append(.remove(removalsToRetry)) }
        removalsToRetry = []
        askForSpace()
        submit(now: now)
        tickPacking(now: now)
    }

    /// Asks for a checkpoint of everything appended so far, so that the next start replays nothing.
    package func requestCheckpoint() {
        checkpointWanted = true
    }

    /// The jobs since the last call, to be performed in any order, except that write jobs are
    /// performed one after another.
    ///
    /// The array passed in gives its storage back for reuse.
    package func takeJobs(reusing storage: consuming [StoreJob] = []) -> [StoreJob] {
        storage.empty()
        swap(&storage, &jobs)
        return storage
    }

    /// What happened since the last call, in order.
    ///
    /// The array passed in gives its storage back for reuse.
    package func takeNotices(reusing storage: consuming [StoreNotice] = []) -> [StoreNotice] {
        storage.empty()
        swap(&storage, &notices)
        return storage
    }

    func isSyncDue(_ now: MonotonicTime) -> Bool {
        switch options.fsync {
        case .always: true
        case .every(let interval): now.since(syncedAt) >= interval
        case .never: false
        }
    }

    func handOver(now: MonotonicTime) {
        closeGroup()
        addWriteSteps()
        guard !steps.isEmpty || (forcesSync && syncedTo < writtenTo) else { return }
        let syncs = isSyncDue(now) || forcesSync
        if syncs {
            syncedAt = now
            forcesSync = false
        }
        jobs.append(
            .write(
                WriteJob(
                    steps: steps,
                    syncs: syncs,
                    bytes: handedBytes,
                    group: nextGroup - 1,
                    end: tail.end
                )
            )
        )
        steps = []
        handedBytes = 0
        isWriting = true
    }

    func updatePressure() {
        let isShortOfRoom =
            options.preallocates && spares.isEmpty && isPreparing
            && tail.end.offset > options.segmentBytes / 4 * 3
        let isOver =
            isPressing
            ? unconfirmedBytes > options.unconfirmedBytesMax / 2
            : unconfirmedBytes > options.unconfirmedBytesMax
        let presses = isOver || (isShortOfRoom && unconfirmedBytes > options.chunkBytes)
        if presses != isPressing {
            isPressing = presses
            notices.append(.pressure(presses))
        }
    }
}

extension SegmentFooter {
    /// A footer without entries, with its group's part.
    static let emptyBytesMax = 128
    /// One entry's difference in a posting list at most: offsets of 32 bits in units of eight.
    static let entryBytesMax = 5
}
