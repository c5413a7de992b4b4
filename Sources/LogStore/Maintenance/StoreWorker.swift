import Base

/// Performs a store's jobs: the only part of the running store that touches files.
///
/// Confinement: write jobs by one thread at a time, in order; each other job by any thread.
package struct StoreWorker<Files: FileSystem>: Sendable {
    let files: Files
    let directory: String
    let store: StoreID
    private let reserve: SpaceReserve<Files>
    private let quarantine: Quarantine<Files>
    private let litter: Litter<Files>
    private let bypassesCache: Bool

    /// `reserveBytes` of disk are held for settles and checkpoints on a full disk; copies of damaged
    /// bytes leave `minFreeBytes` free.
    package init(
        _ files: Files,
        directory: String,
        store: StoreID,
        reserveBytes: Int = 0,
        minFreeBytes: Int = 0,
        bypassesCache: Bool = false
    ) {
        self.files = files
        self.directory = directory
        self.store = store
        reserve = SpaceReserve(files, directory: directory, byteCount: reserveBytes)
        quarantine = Quarantine(files, directory: directory, minFreeBytes: minFreeBytes)
        litter = Litter(files)
        self.bypassesCache = bypassesCache
    }

    func path(_ name: String) -> String { directory + "/" + name }

    /// Performs any job but a write, which is the writer's.
    package func perform(_ job: StoreJob) -> StoreResult {
        switch job {
        case .write: fatalError("a write job given to the wrong hands")
        case .read(let job): .read(read(job))
        case .checkpoint(let job): writeCheckpoint(job)
        case .prepareSpare(let job): prepareSpare(job)
        case .remove(let files): remove(files)
        case .checkSpace: .space(freeBytes: freeBytes())
        case .pack(let job): .packed(job, pack(job))
        case .quarantine(let damage): .quarantined(quarantine.keep(damage))
        }
    }

    /// The active segment's writer; one for the life of a store.
    package func makeWriter() -> SegmentWriter<Files> {
        SegmentWriter(
            files: files,
            directory: directory,
            reserve: reserve,
            bypassesCache: bypassesCache
        )
    }

    private func freeBytes() -> Int? {
        litter.clear()
        do throws(FileError) {
            let free = try files.freeBytes(directory)
            reserve.keep(freeBytes: free)
            return free
        } catch { return nil }
    }

    // MARK: Checkpoints

    private func writeCheckpoint(_ job: CheckpointJob) -> StoreResult {
        let name = FileNames.checkpoint(job.number)
        do throws(FileError) {
            var isWritten = false
            while !isWritten {
                do throws(FileError) {
                    try writeUnderName(name, job.bytes)
                    isWritten = true
                } catch {
                    guard error.reason == .noSpace, reserve.release(job.bytes.count) else {
                        throw error
                    }
                }
            }
        } catch {
            return .checkpointed(job, error)
        }
        var job = job
        job.left = job.replaces.filter { !isGone(FileNames.checkpoint($0)) }
        return .checkpointed(job, nil)
    }

    /// Removes a file that may be there; false if that failed.
    private func isGone(_ name: String) -> Bool {
        do throws(FileError) {
            try files.remove(path(name))
            return true
        } catch {
            return error.reason == .notFound
        }
    }

    /// A file appears by write, sync, rename, sync of the directory, so that a crash at any step
    /// leaves either no file of this name or a whole one.
    private func writeUnderName(_ name: String, _ bytes: [UInt8]) throws(FileError) {
        let temporary = path(FileNames.temporary(name))
        do throws(FileError) {
            try writeNew(temporary, bytes)
            try files.rename(temporary, to: path(name))
            try files.syncDirectory(directory)
        } catch {
            // Half a file would hold space.
            litter.drop(temporary)
            throw error
        }
    }

    private func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        let file = try files.open(path, .create)
        defer { files.close(file) }
        try files.write(file, at: 0, bytes.span.bytes)
        try files.syncData(file)
    }

    // MARK: Spares

    /// Makes a file ready: zeros written and synced, so that later syncs need no journal commit; or a
    /// dropped segment renamed, whose blocks are written already.
    private func prepareSpare(_ job: SpareJob) -> StoreResult {
        let name = path(FileNames.spare(job.number))
        var bytes = job.byteCount
        do throws(FileError) {
            if let file = job.recycles {
                guard try size(path(file.name)) >= SpareJob.leastBytes(of: job.byteCount) else {
                    return .sparePrepared(job, bytes: 0, nil)
                }
                try files.rename(path(file.name), to: name)
                // A snapshot may share the file, and its segment must not be written over. Now that
                // the name is gone, nobody can share it any more.
                if try files.linkCount(name) > 1 {
                    try files.remove(name)
                    try prepareZeros(name, job)
                }
                try files.syncDirectory(directory)
                bytes = try size(name)
            } else {
                try prepareZeros(name, job)
            }
            return .sparePrepared(job, bytes: bytes, nil)
        } catch {
            litter.drop(name)
            return .sparePrepared(job, bytes: 0, error)
        }
    }

    private func prepareZeros(_ name: String, _ job: SpareJob) throws(FileError) {
        let free = try files.freeBytes(directory)
        guard free >= job.byteCount + job.minFreeBytes else {
            throw FileError(
                reason: .noSpace,
                operation: "prepare",
                path: name,
                detail: "\(ByteCount(free)) of disk are free, "
                    + "\(ByteCount(job.byteCount)) are needed above min_free_disk = "
                    + "\(ByteCount(job.minFreeBytes))"
            )
        }
        try writeZeros(name, job.byteCount)
    }

    private func writeZeros(_ path: String, _ count: Int) throws(FileError) {
        let file = try files.open(path, .create)
        defer { files.close(file) }
        if bypassesCache, files.bypassCache(file) {
            try writeZeroBlocks(file, count)
        } else {
            try files.writeZeros(file, count)
            try files.syncData(file)
        }
    }

    /// Zeros that are synced at once: a sync of a whole segment would hold up those of the log for a tenth
    /// of a second.
    private static var zerosPerSync: Int { 1 << 20 }

    /// Fills and syncs a file that takes whole blocks only: a part of one more than was asked for at most.
    private func writeZeroBlocks(_ file: Files.File, _ count: Int) throws(FileError) {
        let zeros = BlockBuffer()
        let end = BlockBuffer.wholeBlocks(count)
        var offset = 0
        while offset < end {
            let length = min(Self.zerosPerSync, end - offset)
            try zeros.blocks(length).withBytes { (bytes) throws(FileError) in
                try files.write(file, at: offset, bytes)
            }
            try files.syncData(file)
            offset += length
        }
    }

    private func size(_ path: String) throws(FileError) -> Int {
        let file = try files.open(path, .read)
        defer { files.close(file) }
        return try files.size(file)
    }

    private func remove(_ gone: [SegmentFile]) -> StoreResult {
        do throws(FileError) {
            for file in gone where !reserve.take(path(file.name)) {
                do throws(FileError) {
                    let bytes = reserve.isWhole ? 0 : try size(path(file.name))
                    try files.remove(path(file.name))
                    if bytes > 0 { reserve.grow(by: bytes) }
                } catch {
                    if error.reason != .notFound { throw error }
                }
            }
            // A removed file that a power cut brings back would take its space again.
            try files.syncDirectory(directory)
            return .removed(gone, nil)
        } catch {
            return .removed(gone, error)
        }
    }

    private func pack(_ job: PackJob) -> PackOutcome {
        var packer = Packer(files, directory: directory, store: store, litter: litter, job)
        do throws(FileError) { return try packer.run() } catch { return .failed(error) }
    }
}
