package import Base

/// What the jobs brought, writes above all.
extension LogStore {
    /// Takes in the result of a job.
    package func complete(_ result: StoreResult, now: MonotonicTime) {
        switch result {
        case .written(let job, let error): written(job, error, now: now)
        case .read(let result): finishRead(result)
        case .checkpointed(let job, let error): checkpointed(job, error, now: now)
        case .sparePrepared(let job, let bytes, let error):
            sparePrepared(job, bytes: bytes, error)
        case .removed(let files, let error): removed(files, error)
        case .packed(let job, let outcome): packed(job, outcome, now: now)
        case .quarantined(let report): quarantined(report)
        case .space(let freeBytes):
            space.answer(freeBytes)
            updateRefusal()
        }
    }

    func written(_ job: WriteJob, _ error: FileError?, now: MonotonicTime) {
        if let error, job.canRepeat {
            // Not a byte of it was promised to anyone yet: it waits, as its senders do.
            blockedWrite = job
            if error.reason == .noSpace {
                space.ranOut()
            } else {
                invariant(error.reason == .tooManyOpenFiles, "a write is repeated after \(error)")
                writeRefusal = "the log cannot be written: \(error)"
            }
            updateRefusal()
            return
        }
        isWriting = false
        if writeRefusal != nil {
            writeRefusal = nil
            updateRefusal()
        }
        if let error {
            failure = error
            notices.append(.failed(error))
            return
        }
        writtenTo = job.end
        releaseReadsBehindSeal()
        if job.syncs { syncedTo = job.end }
        unconfirmedBytes = max(0, unconfirmedBytes - job.bytes)
        if job.group > durableGroup {
            durableGroup = job.group
            notices.append(.durable(group: job.group))
        }
        tail.evict(written: writtenTo)
        writeCheckpointIfDurable()
        submit(now: now)
    }
}
