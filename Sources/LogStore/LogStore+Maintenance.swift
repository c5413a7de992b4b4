import Base

/// Checkpoints and the files that become segments.
extension LogStore {
    // MARK: Checkpoints

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
        state.segments.drop(at: number)
        let bytes = CheckpointFormat.encode(
            state,
            store: id,
            number: number,
            position: tail.end,
            nextGroup: nextGroup,
            epoch: epoch
        )
        let kept = checkpoints.sorted()
        let job = CheckpointJob(
            number: number,
            bytes: bytes,
            replaces: kept.count >= 2 ? kept[0] : nil
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
        guard error == nil else { return }
        checkpoints.removeAll { $0 == job.replaces }
        checkpoints.append(job.number)
        guard checkpoints.count >= 2, let oldest = checkpoints.min() else { return }
        let removable = state.segments.takeRemovable(oldestCheckpoint: oldest)
        var gone: [UInt32] = []
        for segment in removable {
            if options.preallocates, spares.count < 2, !isPreparing, spaceRefusal == nil {
                prepareSpare(recycling: segment)
            } else {
                gone.append(segment)
            }
        }
        if !gone.isEmpty { jobs.append(.remove(gone)) }
        submit(now: now)
    }

    // MARK: Spares

    func prepareSpare(recycling segment: UInt32? = nil) {
        guard options.preallocates, !isPreparing, segment != nil || spares.isEmpty else { return }
        isPreparing = true
        jobs.append(
            .prepareSpare(
                SpareJob(
                    number: nextSpare,
                    recycles: segment,
                    byteCount: options.segmentBytes,
                    minFreeBytes: options.minFreeDiskBytes
                )
            )
        )
        nextSpare += 1
    }

    func sparePrepared(_ job: SpareJob, _ error: FileError?) {
        isPreparing = false
        if let error {
            if let segment = job.recycles { jobs.append(.remove([segment])) }
            spareRefusal = "no room for the next segment: \(error.detail)"
        } else {
            if let segment = job.recycles { state.segments.left(segment) }
            spares.append(job.number)
            spareRefusal = nil
        }
        updateRefusal()
        updatePressure()
    }

    /// New messages are taken only while a further segment stands ready or is on its way: the active
    /// one is then the reserve for settles.
    func updateRefusal() {
        let refusal = spares.isEmpty && spareRefusal != nil ? spareRefusal : spaceRefusal
        if refusal != announcedRefusal {
            announcedRefusal = refusal
            notices.append(.sendsRefused(refusal))
        }
    }
}
