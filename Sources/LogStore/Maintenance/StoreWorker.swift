import Base

/// Performs a store's jobs: the only part of the running store that touches files.
///
/// Confinement: write jobs by one thread at a time, in order; each other job by any thread.
package struct StoreWorker<Files: FileSystem>: Sendable {
    let files: Files
    let directory: String
    let store: StoreID
    private let reserve: SpaceReserve<Files>

    /// `reserveBytes` of disk are held for settles and checkpoints on a full disk.
    package init(_ files: Files, directory: String, store: StoreID, reserveBytes: Int = 0) {
        self.files = files
        self.directory = directory
        self.store = store
        reserve = SpaceReserve(files, directory: directory, byteCount: reserveBytes)
    }

    private func path(_ name: String) -> String { directory + "/" + name }

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
        }
    }

    /// The active segment's writer; one for the life of a store.
    package func makeWriter() -> SegmentWriter<Files> {
        SegmentWriter(files: files, directory: directory, reserve: reserve)
    }

    private func freeBytes() -> Int? {
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
            if let old = job.replaces {
                try files.remove(path(FileNames.checkpoint(old)))
            }
            return .checkpointed(job, nil)
        } catch {
            return .checkpointed(job, error)
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
            // Half a file would stand in the way of the next try, and hold space.
            do throws(FileError) { try files.remove(temporary) } catch {}
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
            do throws(FileError) { try files.remove(name) } catch {}
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
        try files.writeZeros(file, count)
        try files.syncData(file)
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
        var packer = Packer(files, directory: directory, store: store, job)
        do throws(FileError) { return try packer.run() } catch { return .failed(error) }
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
            let file = try files.open(path(job.file.name), .read)
            defer { files.close(file) }
            if job.file.isPacked {
                try readPacked(file, &result)
            } else {
                try readSealed(file, &result)
            }
        } catch {
            if error.reason == .tooManyOpenFiles {
                result.isWorthRetrying = true
                return result
            }
            result.isMissing = error.reason == .notFound
            lose(job.sequences, error.description, &result)
        }
        result.damage = Self.merged(result.damage)
        return result
    }

    /// One item for what has one reason, so that a ruined segment makes a few lines and not thousands.
    private static func merged(_ damage: [Damage]) -> [Damage] {
        var result: [Damage] = []
        for item in damage {
            guard let last = result.last, last.reason == item.reason else {
                result.append(item)
                continue
            }
            var entries = last.entries
            for range in item.entries {
                if let end = entries.last?.end, end == range.first {
                    entries[entries.count - 1].count += range.count
                } else {
                    entries.append(range)
                }
            }
            let start = min(last.offset, item.offset)
            let end = max(last.offset + last.length, item.offset + item.length)
            result[result.count - 1] = Damage(
                file: item.file,
                offset: start,
                length: end - start,
                entries: entries,
                reason: item.reason
            )
        }
        return result
    }

    /// Nothing of these entries can be read.
    private func lose(_ sequences: [UInt64], _ reason: String, _ result: inout ReadResult) {
        result.damage.append(
            Damage(
                file: result.job.file.name,
                offset: 0,
                length: 0,
                entries: sequences.map { SequenceRange(first: $0, count: 1) },
                reason: reason
            )
        )
    }

    private func readSealed(
        _ file: Files.File,
        _ result: inout ReadResult
    ) throws(FileError) {
        let job = result.job
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
            guard let offset = list?.offset(of: sequence) else {
                lose([sequence], "no sound record of it is left in the segment", &result)
                continue
            }
            guard try reader.load(offset, RecordHeader.byteCount),
                let header = RecordHeader(reader.window.span.bytes, at: offset - reader.start),
                try reader.load(offset, header.length)
            else {
                damaged(sequence, "no record begins here", offset, RecordHeader.byteCount, &result)
                continue
            }
            let bytes = reader.window.span.bytes
            take(sequence, bytes, at: offset - reader.start, offset, fileOffset: offset, &result)
        }
    }

    private func readPacked(
        _ file: Files.File,
        _ result: inout ReadResult
    ) throws(FileError) {
        let job = result.job
        guard var reader = try PackedReader(files, file, job.file, store: store) else {
            lose(job.sequences, "the header or the index of the file is damaged", &result)
            return
        }
        var list = job.postings
        if list == nil {
            list = try reader.postings(of: job.queue)
            if list == nil { list = try reader.rebuildPostings(of: job.queue) }
            result.postings = list
        }
        for sequence in job.sequences {
            if result.bytes.count >= job.bytesMax {
                result.next = EntrySequence(sequence)
                break
            }
            guard let offset = list?.offset(of: sequence) else {
                lose([sequence], "no sound record of it is left in the segment", &result)
                continue
            }
            let fileOffset = reader.fileOffset(of: offset)
            guard let local = try reader.load(offset) else {
                damaged(sequence, "the block is damaged", fileOffset, 0, &result)
                continue
            }
            let bytes = reader.plain.span.bytes
            take(sequence, bytes, at: local, offset, fileOffset: fileOffset, &result)
        }
    }

    private func damaged(
        _ sequence: UInt64,
        _ reason: String,
        _ offset: Int,
        _ length: Int,
        _ result: inout ReadResult
    ) {
        result.damage.append(
            Damage(
                file: result.job.file.name,
                offset: offset,
                length: length,
                entries: [SequenceRange(first: sequence, count: 1)],
                reason: reason
            )
        )
    }

    /// Takes the message of an entry from `bytes`, which hold its whole record, if it is sound.
    private func take(
        _ sequence: UInt64,
        _ bytes: RawSpan,
        at local: Int,
        _ offset: Int,
        fileOffset: Int,
        _ result: inout ReadResult
    ) {
        let job = result.job
        guard let header = RecordHeader(bytes, at: local),
            header.isSound(bytes, at: local, seed: job.seed, fileOffset: offset)
        else {
            let length = Int(bytes.uint32(at: local + 4))
            damaged(sequence, "the record's checksum is wrong", fileOffset, length, &result)
            return
        }
        guard let record = MessageRecord(header, bytes, at: local),
            record.holds(job.queue, EntrySequence(sequence), in: bytes)
        else {
            let reason = "the record is not the entry's message"
            damaged(sequence, reason, fileOffset, header.length, &result)
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
        if offset > 0, let header = try reader.soundHeader(offset, seed: job.seed),
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
