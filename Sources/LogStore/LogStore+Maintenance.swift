import Base

/// Checkpoints and the files that become segments.
extension LogStore {
    // MARK: Checkpoints

    /// A segment is complete.
    ///
    /// Its seal calls for a checkpoint, unless the last one was so large that they would be most of
    /// what is written: a large state with small segments.
    func sealed(_ segment: UInt32, bytes: Int) {
        restingSince[segment] = turnTime
        sealedBytes += bytes
        if sealedBytes >= 4 * checkpointBytes { checkpointWanted = true }
    }

    /// The time between checkpoints that only serve to give disk back: longer where a checkpoint
    /// takes the loop's time and the disk's.
    var checkpointInterval: Interval {
        max(options.checkpointInterval, .milliseconds(UInt64(checkpointBytes) >> 13))
    }

    /// Encodes the state as it is now; the file is written once the log is durable up to here.
    func captureCheckpoint(now: MonotonicTime) {
        guard checkpointWanted, !isCheckpointing, capturedCheckpoint == nil, !isInUnit else {
            return
        }
        checkpointWanted = false
        checkpointedAt = now
        flushSettles()
        closeGroup()
        let number = nextCheckpoint
        nextCheckpoint += 1
        state.segments.drop(takeDroppable(), at: number)
        state.segments.forgetPassedTimes()
        let bytes = CheckpointFormat.encode(
            state,
            store: id,
            number: number,
            position: tail.end,
            nextGroup: nextGroup,
            epoch: epoch
        )
        checkpointBytes = bytes.count
        sealedBytes = 0
        let job = CheckpointJob(
            number: number,
            bytes: bytes,
            position: tail.end,
            replaces: checkpoints.sorted().dropLast() + strayCheckpoints
        )
        capturedCheckpoint = (job, tail.end)
        if syncedTo < tail.end { forcesSync = true }
        writeCheckpointIfDurable()
    }

    func writeCheckpointIfDurable() {
        guard let (job, position) = capturedCheckpoint, syncedTo >= position else { return }
        capturedCheckpoint = nil
        isCheckpointing = true
        jobs.append(.checkpoint(job))
    }

    func checkpointed(_ job: CheckpointJob, _ error: FileError?, now: MonotonicTime) {
        isCheckpointing = false
        // The last ones still stand; the next tick tries again.
        checkpointFailed = error != nil
        guard error == nil else {
            strayCheckpoints.append(job.number)
            return
        }
        checkpoints.removeAll { job.replaces.contains($0) && !job.left.contains($0) }
        checkpoints.append(job.number)
        strayCheckpoints.removeAll { !job.left.contains($0) }
        checkpointedTo = job.position
        guard checkpoints.count >= 2, let oldest = checkpoints.min() else { return }
        let removable = state.segments.takeRemovable(oldestCheckpoint: oldest)
        var gone: [SegmentFile] = []
        for file in removable {
            if state.segments[file.segment] == nil { forget(file) }
            // What a packed form replaced may still be read, by a tool; such a file must not change.
            let isReplaced = file.isPacked || state.segments[file.segment] != nil
            let ready = spares.count + recyclable.count + (isPreparing ? 1 : 0)
            if options.preallocates, ready <= Self.sparesMax, !isSpaceLow, !isReplaced {
                recyclable.append(file)
            } else {
                gone.append(file)
            }
        }
        if !gone.isEmpty { jobs.append(.remove(gone)) }
        prepareSpare()
        submit(now: now)
    }

    /// Forgets what was noted for packing once a segment's file goes.
    private func forget(_ file: SegmentFile) {
        restingSince[file.segment] = nil
        unpackable.remove(file.segment)
        incompressible.remove(file.segment)
    }

    func removed(_ files: [SegmentFile], _ error: FileError?) {
        guard error == nil else {
            removalsToRetry += files
            return
        }
        for file in files { state.segments.left(file) }
        // Space came back, which may be what senders wait for.
        prepareSpare()
        askForSpace()
    }

    // MARK: Spares

    /// A file that stands ready to become a segment, and its length.
    struct Spare {
        let number: UInt64
        let bytes: Int
    }

    /// One to take at once, and one for the time until the next dropped file.
    ///
    /// While the log grows a third one waits as it is, for files are dropped in fits and starts.
    private static var sparesMax: Int { 2 }

    /// Whether a new file is to be filled with zeros for what comes after the active one.
    ///
    /// Not while a good part of that is empty: a file that is dropped until then saves the zeros, and a
    /// store with little to write is spared the disk that they take.
    private var needsNewSpare: Bool {
        spares.isEmpty && (!isActivePrepared || tail.end.offset >= options.segmentBytes / 2)
    }

    /// Begins a new spare when the log has come so far; after a failure that is the tick's to try.
    func prepareSpareInTime() {
        if spareRefusal == nil, needsNewSpare { prepareSpare() }
    }

    /// Makes a file ready: one that served before, or a new one if it is time.
    func prepareSpare() {
        guard options.preallocates, !isPreparing else { return }
        let recycles = !recyclable.isEmpty && spares.count < Self.sparesMax
        guard recycles || needsNewSpare else { return }
        isPreparing = true
        let file = recycles ? recyclable.removeFirst() : nil
        if file == nil { space.claim(options.segmentBytes) }
        jobs.append(
            .prepareSpare(
                SpareJob(
                    number: nextSpare,
                    recycles: file,
                    byteCount: options.segmentBytes,
                    minFreeBytes: options.minFreeDiskBytes
                )
            )
        )
        nextSpare += 1
    }

    /// Gives back the disk of files that are kept for a log that does not grow any more.
    func giveUpRecyclable() {
        guard !recyclable.isEmpty else { return }
        jobs.append(.remove(recyclable))
        recyclable = []
    }

    func sparePrepared(_ job: SpareJob, bytes: Int, _ error: FileError?) {
        isPreparing = false
        if let error, let file = job.recycles {
            // Perhaps the file is gone, which says nothing about the disk.
            jobs.append(.remove([file]))
            if error.reason != .notFound, needsNewSpare {
                spareRefusal = "no room for the next segment: \(error.detail)"
            } else {
                prepareSpare()
            }
        } else if let error {
            spareRefusal = "no room for the next segment: \(error.detail)"
        } else if let file = job.recycles, bytes == 0 {
            // Too short.
            jobs.append(.remove([file]))
            prepareSpare()
        } else {
            if let file = job.recycles { state.segments.left(file) }
            spares.append(Spare(number: job.number, bytes: bytes))
            spareRefusal = nil
            prepareSpare()
        }
        updateRefusal()
        updatePressure()
    }

    // MARK: Space

    /// Has the free disk measured, unless that is under way.
    func askForSpace() {
        if space.ask() { jobs.append(.checkSpace) }
    }

    /// Whether less disk is free than is kept for settles, checkpoints, and everybody else.
    var isSpaceLow: Bool { space.freeBytes.map { $0 < options.minFreeDiskBytes } ?? false }

    private var spaceRefusal: String? {
        guard isSpaceLow, let freeBytes = space.freeBytes else { return nil }
        return "\(ByteCount(freeBytes)) of disk are free, below min_free_disk = "
            + "\(ByteCount(options.minFreeDiskBytes))"
    }

    /// New messages are taken only while the active segment has half of its room left, or a further one
    /// stands ready or is on its way: what is left then is the reserve for settles.
    func updateRefusal() {
        let isOutOfSpares = spares.isEmpty && spareRefusal != nil
        let refusal = writeRefusal ?? (isOutOfSpares ? spareRefusal : spaceRefusal)
        if refusal != announcedRefusal {
            announcedRefusal = refusal
            notices.append(.sendsRefused(refusal))
        }
    }
}
