/// Writes groups to the active segment: the one file being appended to.
///
/// Confinement: one thread at a time. After an error it must not be used again, for a failed sync is
/// final; but what found the disk full, or no file descriptor left, and says `canRepeat`, may be
/// performed again.
package struct SegmentWriter<Files: FileSystem>: Sendable {
    private let files: Files
    private let directory: String
    private let reserve: SpaceReserve<Files>
    /// For files that are written past the system's memory; nil if none are to be.
    private var blocks: BlockWriter<Files>?
    /// The open file takes whole blocks only.
    private var takesBlocks = false
    private var file: Files.File?
    private var segment: UInt32 = 0
    private var isSyncing = false
    /// The segment that has its name, which is not durable yet for want of a file descriptor.
    private var unsyncedName: UInt32?

    init(files: Files, directory: String, reserve: SpaceReserve<Files>, bypassesCache: Bool) {
        self.files = files
        self.directory = directory
        self.reserve = reserve
        blocks = bypassesCache ? BlockWriter(files: files) : nil
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    /// Performs the steps of a job in order, then the sync that it asks for.
    package mutating func perform(_ job: WriteJob) -> StoreResult {
        var done = 0
        do throws(FileError) {
            for step in job.steps {
                try performWithReserve(step)
                done += 1
            }
            if job.syncs, let file { try sync(file) }
            return .written(job, nil)
        } catch {
            return .written(job.rest(from: done, canRepeat: mayWait(error)), error)
        }
    }

    /// Lays out a job that is one write and a sync, to be carried out by the caller, and then
    /// `finish`; nil, and nothing done, for any other job.
    ///
    /// The file must be written past the system's memory, and all before be synced: so it is enough to
    /// sync this write. What is left of a job that met a full disk stands behind steps that were not.
    mutating func stage(_ job: WriteJob, bytesMax: Int) -> StagedWrite<Files.File>? {
        guard takesBlocks, job.syncs, !job.canRepeat, let file,
            !job.steps.isEmpty, job.steps.reduce(0, { $0 + $1.byteCount }) <= bytesMax
        else { return nil }
        for step in job.steps {
            guard case .write(segment, let offset, let chunk, let range) = step,
                chunk.withBytes(range, { blocks?.stage(at: offset, $0) == true })
            else {
                blocks?.unstage()
                return nil
            }
        }
        return blocks.map {
            StagedWrite(file: file, offset: $0.start, blocks: $0.stagedBlocks())
        }
    }

    /// Starts a job on the ring; false, and nothing done, if it is not of that kind.
    ///
    /// `finish` must follow.
    mutating func start(_ job: WriteJob, on ring: WriteRing, bytesMax: Int) -> Bool {
        guard let staged = stage(job, bytesMax: bytesMax) else { return false }
        if let descriptor = files.descriptor(of: staged.file),
            ring.start(descriptor, at: staged.offset, staged.blocks)
        {
            return true
        }
        blocks?.unstage()
        return false
    }

    /// Notes how the write of a staged job ended; nil if the job must be performed after all.
    mutating func finish(_ job: WriteJob, _ outcome: WriteRing.Outcome) -> StoreResult? {
        if outcome == .durable { blocks?.advance() } else { blocks?.unstage() }
        switch outcome {
        case .durable: return .written(job, nil)
        case .refused: return nil
        case .failed(let code):
            let path = path(FileNames.segment(segment))
            let error = FileError(code: code, operation: "synced write", path: path)
            return .written(job.rest(from: 0, canRepeat: false), error)
        }
    }

    /// Whether an error only says that a step must wait; a failed sync is final.
    private func mayWait(_ error: FileError) -> Bool {
        (error.reason == .noSpace || error.reason == .tooManyOpenFiles) && !isSyncing
    }

    private mutating func performWithReserve(_ step: WriteJob.Step) throws(FileError) {
        while true {
            do throws(FileError) { return try perform(step) } catch {
                guard mayWait(error), error.reason == .noSpace, reserve.release(step.byteCount)
                else { throw error }
            }
        }
    }

    private mutating func perform(_ step: WriteJob.Step) throws(FileError) {
        switch step {
        case .begin(let number, let spare, let header):
            try begin(number, spare: spare, header)
        case .write(let number, let offset, let chunk, let range):
            let file = try openFile(number, toWriteAt: offset)
            try chunk.withBytes(range) { (bytes) throws(FileError) in
                try write(file, at: offset, bytes)
            }
        case .seal(let number, let length):
            let file = try openFile(number)
            try sync(file)
            // What is behind the footer means nothing; cutting it may be lost, and readers stop at the
            // footer anyway. But without a footer a file that was cut off would look damaged.
            try files.truncate(file, to: length)
            close()
        }
    }

    /// Syncs a file; an error here is final, whatever its reason.
    private mutating func sync(_ file: Files.File) throws(FileError) {
        isSyncing = true
        try files.syncData(file)
        isSyncing = false
    }

    /// Closes the file; nothing is synced.
    package mutating func close() {
        if let file { files.close(file) }
        file = nil
    }

    private mutating func openFile(
        _ number: UInt32,
        toWriteAt offset: Int? = nil
    ) throws(FileError) -> Files.File {
        if let file, segment == number { return file }
        close()
        let opened = try files.open(path(FileNames.segment(number)), .update)
        file = opened
        segment = number
        if let offset { beginBlocks(opened, at: offset) }
        return opened
    }

    /// Has a file take whole blocks past the system's memory, if that is wanted and the file system can.
    private mutating func beginBlocks(_ file: Files.File, at offset: Int) {
        takesBlocks = false
        guard blocks != nil else { return }
        // What cannot be read is nothing that a write should fail for.
        do throws(FileError) { try blocks?.begin(file, at: offset) } catch { return }
        takesBlocks = files.bypassCache(file)
    }

    private mutating func write(
        _ file: Files.File,
        at offset: Int,
        _ bytes: RawSpan
    ) throws(FileError) {
        if takesBlocks {
            try blocks?.write(file, at: offset, bytes)
        } else {
            try files.write(file, at: offset, bytes)
        }
    }

    /// Makes a prepared file, or a new one, the segment: header, sync, name, sync of the directory.
    ///
    /// So a file of that name always has a whole header, and the name is durable before anything in
    /// the file is reported durable.
    private mutating func begin(
        _ number: UInt32,
        spare: UInt64?,
        _ header: SegmentHeader
    ) throws(FileError) {
        if unsyncedName != number {
            try prepare(number, spare: spare, header)
            unsyncedName = number
        }
        isSyncing = true
        do throws(FileError) { try files.syncDirectory(directory) } catch {
            // The directory was not even opened: nothing was synced, and nothing given up.
            if error.reason == .tooManyOpenFiles { isSyncing = false }
            throw error
        }
        isSyncing = false
        unsyncedName = nil
    }

    private mutating func prepare(
        _ number: UInt32,
        spare: UInt64?,
        _ header: SegmentHeader
    ) throws(FileError) {
        close()
        let name = FileNames.segment(number)
        let prepared = path(spare.map(FileNames.spare) ?? FileNames.temporary(name))
        do throws(FileError) {
            let file = try spare == nil ? create(prepared) : files.open(prepared, .update)
            self.file = file
            segment = number
            let bytes = [UInt8].encoded(count: SegmentHeader.byteCount) { header.encode(into: &$0) }
            try files.write(file, at: 0, bytes.span.bytes)
            try sync(file)
            try files.rename(prepared, to: path(name))
            // The log's bytes begin with the header, too.
            beginBlocks(file, at: 0)
        } catch {
            close()
            // A file of its own making would hold space.
            if spare == nil { do throws(FileError) { try files.remove(prepared) } catch {} }
            throw error
        }
    }

    /// Creates a file, or empties the one that a try before this one could not remove.
    private func create(_ path: String) throws(FileError) -> Files.File {
        do throws(FileError) { return try files.open(path, .create) } catch {
            guard error.reason == .exists else { throw error }
        }
        let file = try files.open(path, .update)
        do throws(FileError) { try files.truncate(file, to: 0) } catch {
            files.close(file)
            throw error
        }
        return file
    }
}

/// A job laid out as one write: whole blocks at a multiple of their size.
struct StagedWrite<File: BitwiseCopyable & Sendable>: Sendable {
    let file: File
    let offset: Int
    let blocks: BlockBuffer.Blocks
}
