import Base

/// Performs a store's jobs: the only part of the running store that touches files.
///
/// Confinement: write jobs by one thread at a time, in order; each other job by any thread.
package struct StoreWorker<Files: FileSystem>: Sendable {
    let files: Files
    let directory: String
    let store: StoreID

    package init(_ files: Files, directory: String, store: StoreID) {
        self.files = files
        self.directory = directory
        self.store = store
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    /// Performs any job but a write, which is the writer's.
    package func perform(_ job: StoreJob) -> StoreResult {
        switch job {
        case .write: fatalError("a write job given to the wrong hands")
        case .read(let job): .read(read(job))
        case .checkpoint(let job): writeCheckpoint(job)
        case .prepareSpare(let job): prepareSpare(job)
        case .remove(let segments): remove(segments)
        case .checkSpace: .space(freeBytes: freeBytes())
        }
    }

    /// The active segment's writer; one for the life of a store.
    package func makeWriter() -> SegmentWriter<Files> {
        SegmentWriter(files: files, directory: directory)
    }

    private func freeBytes() -> Int? {
        do throws(FileError) { return try files.freeBytes(directory) } catch { return nil }
    }

    // MARK: Checkpoints

    /// A file appears by write, sync, rename, sync of the directory, so that a crash at any step
    /// leaves either no checkpoint of this number or a whole one.
    private func writeCheckpoint(_ job: CheckpointJob) -> StoreResult {
        let name = FileNames.checkpoint(job.number)
        let temporary = path(FileNames.temporary(name))
        do throws(FileError) {
            do throws(FileError) {
                try writeNew(temporary, job.bytes)
                try files.rename(temporary, to: path(name))
                try files.syncDirectory(directory)
            } catch {
                // Half a file would stand in the way of the next try, and hold space.
                do throws(FileError) { try files.remove(temporary) } catch {}
                throw error
            }
            if let old = job.replaces {
                try files.remove(path(FileNames.checkpoint(old)))
            }
            return .checkpointed(job, nil)
        } catch {
            return .checkpointed(job, error)
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
        do throws(FileError) {
            if let segment = job.recycles {
                try files.rename(path(FileNames.segment(segment)), to: name)
                // A snapshot may share the file, and its segment must not be written over. Now that
                // the name is gone, nobody can share it any more.
                if try files.linkCount(name) > 1 {
                    try files.remove(name)
                    try prepareZeros(name, job)
                }
                try files.syncDirectory(directory)
            } else {
                try prepareZeros(name, job)
            }
            return .sparePrepared(job, nil)
        } catch {
            do throws(FileError) { try files.remove(name) } catch {}
            return .sparePrepared(job, error)
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
        let block = [UInt8](repeating: 0, count: min(1 << 20, count))
        var offset = 0
        while offset < count {
            let length = min(block.count, count - offset)
            try files.write(file, at: offset, block.span.bytes.extracting(0..<length))
            offset += length
        }
        try files.syncData(file)
    }

    private func remove(_ segments: [UInt32]) -> StoreResult {
        do throws(FileError) {
            for segment in segments {
                do throws(FileError) {
                    try files.remove(path(FileNames.segment(segment)))
                } catch {
                    if error.reason != .notFound { throw error }
                }
            }
            // A removed file that a power cut brings back would take its space again.
            try files.syncDirectory(directory)
            return .removed(segments, nil)
        } catch {
            return .removed(segments, error)
        }
    }

    // MARK: Reads

    private func read(_ job: ReadJob) -> ReadResult {
        var result = ReadResult(
            job: job,
            bytes: [],
            items: [],
            next: EntrySequence(job.sequences[job.sequences.count - 1] + 1),
            postings: nil,
            damage: []
        )
        do throws(FileError) {
            let file = try files.open(path(FileNames.segment(job.segment)), .read)
            defer { files.close(file) }
            var reader = try BlockReader(files, file, blockBytes: 128 << 10)
            var list = job.postings
            if list == nil {
                list = try loadPostings(job, &reader)
                result.postings = list
            }
            for sequence in job.sequences {
                if result.bytes.count >= job.bytesMax {
                    result.next = EntrySequence(sequence)
                    break
                }
                try readMessage(sequence, at: list?.offset(of: sequence), &reader, &result)
            }
        } catch {
            if error.reason == .tooManyOpenFiles {
                result.isWorthRetrying = true
                return result
            }
            result.damage.append(
                Damage(
                    file: FileNames.segment(job.segment),
                    offset: 0,
                    length: 0,
                    entries: job.sequences.map { SequenceRange(first: $0, count: 1) },
                    reason: error.description
                )
            )
        }
        return result
    }

    private func readMessage(
        _ sequence: UInt64,
        at offset: Int?,
        _ reader: inout BlockReader<Files>,
        _ result: inout ReadResult
    ) throws(FileError) {
        let job = result.job
        func damaged(_ reason: String, length: Int) {
            result.damage.append(
                Damage(
                    file: FileNames.segment(job.segment),
                    offset: offset ?? 0,
                    length: length,
                    entries: [SequenceRange(first: sequence, count: 1)],
                    reason: reason
                )
            )
        }
        guard let offset else {
            damaged("no sound record of it is left in the segment", length: 0)
            return
        }
        guard try reader.load(offset, RecordHeader.byteCount),
            let header = RecordHeader(reader.window.span.bytes, at: offset - reader.start),
            try reader.load(offset, header.length)
        else {
            damaged("no record begins here", length: RecordHeader.byteCount)
            return
        }
        let bytes = reader.window.span.bytes
        let at = offset - reader.start
        guard header.isSound(bytes, at: at, seed: job.seed, fileOffset: offset) else {
            damaged("the record's checksum is wrong", length: header.length)
            return
        }
        guard let record = MessageRecord(header, bytes, at: at),
            record.holds(job.queue, EntrySequence(sequence), in: bytes)
        else {
            damaged("the record is not the entry's message", length: header.length)
            return
        }
        let start = result.bytes.count
        result.bytes += bytes.array(record.headers.lowerBound..<record.body.upperBound)
        let bodyStart = start + record.headers.count
        result.items.append(
            ReadResult.Item(
                sequence: EntrySequence(sequence),
                headers: start..<bodyStart,
                body: bodyStart..<result.bytes.count
            )
        )
    }

    /// The posting list from the footer; from the records themselves if the footer is damaged.
    private func loadPostings(
        _ job: ReadJob,
        _ reader: inout BlockReader<Files>
    ) throws(FileError) -> Postings? {
        let offset = job.footerOffset
        if offset > 0, try reader.load(offset, RecordHeader.byteCount),
            let header = RecordHeader(reader.window.span.bytes, at: offset - reader.start),
            try reader.load(offset, header.length),
            header.isSound(
                reader.window.span.bytes,
                at: offset - reader.start,
                seed: job.seed,
                fileOffset: offset
            ),
            let footer = SegmentFooter(
                header,
                reader.window.span.bytes,
                at: offset - reader.start
            ),
            let line = footer.lines.first(where: { $0.queue == job.queue })
        {
            return SegmentFooter.postings(
                of: line,
                in: reader.window.span.bytes,
                at: offset - reader.start
            )
        }
        return try rebuildPostings(job, reader)
    }

    private func rebuildPostings(
        _ job: ReadJob,
        _ reader: BlockReader<Files>
    ) throws(FileError) -> Postings? {
        var start = ScanStart()
        start.durable = LogPosition(segment: job.segment, offset: reader.size)
        var scanner = SegmentScanner(reader, segment: job.segment, store: store, start: start)
        var first: UInt64?
        var offsets: [UInt32] = []
        while true {
            let event = try scanner.next()
            if case .end = event { break }
            guard case .record(let header) = event else { continue }
            let bytes = scanner.reader.window.span.bytes
            guard let record = MessageRecord(header, bytes, at: scanner.windowOffset) else {
                continue
            }
            for index in 0..<record.entryCount {
                let (queue, sequence) = record.entry(index, in: bytes)
                guard queue == job.queue else { continue }
                let begin = first ?? sequence.value
                first = begin
                guard sequence.value >= begin + UInt64(offsets.count) else { continue }
                while begin + UInt64(offsets.count) < sequence.value { offsets.append(0) }
                offsets.append(UInt32(scanner.eventOffset))
            }
        }
        return first.map { Postings(first: $0, offsets: offsets) }
    }
}
