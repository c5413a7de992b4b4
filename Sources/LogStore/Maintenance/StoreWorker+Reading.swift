import Base

/// Reading entries from sealed and packed segments.
extension StoreWorker {
    func read(_ job: ReadJob) -> ReadResult {
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
            result.isMissing = error.reason == .notFound
            if error.reason == .tooManyOpenFiles {
                // That says nothing of the disk, however often it happens.
                result.isWorthRetrying = true
            } else if job.triesLeft > 0, !result.isMissing {
                result.job.triesLeft -= 1
                result.isWorthRetrying = true
            } else {
                lose(job.sequences, error.description, &result)
            }
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
                entries: LostReport.ranges(sequences),
                reason: reason
            )
        )
    }

    private func readSealed(
        _ file: Files.File,
        _ result: inout ReadResult
    ) throws(FileError) {
        let job = result.job
        var reader = try BlockReader(
            files,
            file,
            blockBytes: Self.blockBytesMax,
            skipsBadSectors: job.triesLeft == 0
        )
        var list = job.postings
        if list == nil {
            list = try loadPostings(job, &reader)
            // A list that lacks what the disk refuses today would hide it tomorrow.
            if !reader.hasMissedBytes { result.postings = list }
        }
        reader.blockBytes = Self.blockBytes(for: job.sequences, list)
        result.bytes.reserveCapacity(min(job.bytesMax, reader.blockBytes))
        var ruined = 0..<0
        for sequence in job.sequences {
            if result.bytes.count >= job.bytesMax {
                result.next = EntrySequence(sequence)
                break
            }
            guard let offset = list?.offset(of: sequence) else {
                lose([sequence], "no sound record of it is left in the segment", &result)
                continue
            }
            guard let header = try reader.soundHeader(offset, seed: job.seed) else {
                if !ruined.contains(offset) {
                    ruined = try Self.damagedRange(&reader, from: offset, seed: job.seed)
                }
                damaged(sequence, "no record with a right checksum stands here", ruined, &result)
                continue
            }
            let bytes = reader.window.span.bytes
            let end = offset + header.length
            take(sequence, header, bytes, at: offset - reader.start, offset..<end, &result)
        }
    }

    private static var blockBytesMax: Int { 128 << 10 }

    /// Bytes to read at once, so that these entries take one read and little is read in vain.
    private static func blockBytes(for sequences: [UInt64], _ list: Postings?) -> Int {
        guard let list, let first = sequences.first.flatMap(list.offset),
            let last = sequences.last.flatMap(list.offset), last >= first
        else { return blockBytesMax }
        let before = last - first
        if let next = list.offset(of: sequences[sequences.count - 1] + 1), next > last {
            return min(blockBytesMax, next - first)
        }
        // Where the last record ends is not known.
        let average = before / max(1, sequences.count - 1)
        return min(blockBytesMax, before + max(8 << 10, 2 * average))
    }

    private func readPacked(
        _ file: Files.File,
        _ result: inout ReadResult
    ) throws(FileError) {
        let job = result.job
        let reading = try PackedReader(
            files,
            file,
            job.file,
            store: store,
            skipsBadSectors: job.triesLeft == 0
        )
        guard var reader = reading else {
            lose(job.sequences, "nothing sound is left in the file", &result)
            return
        }
        var list = job.postings
        if list == nil {
            list = try reader.postings(of: job.queue)
            if list == nil { list = try reader.rebuildPostings(of: job.queue) }
            if !reader.hasMissedBytes { result.postings = list }
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
            let block = reader.fileRange(of: offset)
            guard let local = try reader.load(offset) else {
                damaged(sequence, "the block is damaged", block, &result)
                continue
            }
            guard let header = reader.record(at: (offset, local)) else {
                damaged(sequence, "a record in the block has a wrong checksum", block, &result)
                continue
            }
            take(sequence, header, reader.plain.span.bytes, at: local, block, &result)
        }
    }

    private func damaged(
        _ sequence: UInt64,
        _ reason: String,
        _ range: Range<Int>,
        _ result: inout ReadResult
    ) {
        result.damage.append(
            Damage(
                file: result.job.file.name,
                offset: range.lowerBound,
                length: range.count,
                entries: [SequenceRange(first: sequence, count: 1)],
                reason: reason
            )
        )
    }

    /// The bytes from a damaged record on that are no sound record, as far as a block goes.
    private static func damagedRange(
        _ reader: inout BlockReader<Files>,
        from offset: Int,
        seed: UInt32
    ) throws(FileError) -> Range<Int> {
        let end = min(reader.size, offset + BlockReader<Files>.blockBytes)
        var at = offset + 8
        while at + RecordHeader.byteCount <= end {
            if try reader.soundHeader(at, seed: seed) != nil { return offset..<at }
            at += 8
        }
        return offset..<max(offset, end)
    }

    /// Takes the message of an entry from its sound record, if it is one of the entry's.
    private func take(
        _ sequence: UInt64,
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        _ range: Range<Int>,
        _ result: inout ReadResult
    ) {
        guard let record = MessageRecord(header, bytes, at: local),
            record.holds(result.job.queue, EntrySequence(sequence), in: bytes)
        else {
            damaged(sequence, "the record is not the entry's message", range, &result)
            return
        }
        let start = result.bytes.count
        result.bytes.append(bytes.extracting(record.headers.lowerBound..<record.body.upperBound))
        let bodyStart = start + record.headers.count
        result.items.append(
            ReadResult.Item(
                entry: ReadEntry(
                    sequence: EntrySequence(sequence),
                    requeue: nil,
                    time: record.timeMilliseconds,
                    expires: record.expiresMilliseconds
                ),
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
        return try rebuildPostings(job, &reader)
    }

    private func rebuildPostings(
        _ job: ReadJob,
        _ reader: inout BlockReader<Files>
    ) throws(FileError) -> Postings? {
        // Behind the segment's end may be what an earlier life of the file left there. Checkpoints may hold
        // a header's length for a file that could not be opened once.
        let isKnown = job.length > SegmentHeader.byteCount
        let length = isKnown ? min(job.length, reader.size) : reader.size
        var start = ScanStart()
        start.durable = LogPosition(segment: job.segment, offset: length)
        var scanner = SegmentScanner(reader, segment: job.segment, store: store, start: start)
        var first: UInt64?
        var offsets: [UInt32] = []
        while true {
            let event = try scanner.next()
            if case .end = event { break }
            if scanner.eventOffset >= length { break }
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
        reader.hasMissedBytes = reader.hasMissedBytes || scanner.reader.hasMissedBytes
        return first.map { Postings(first: $0, offsets: offsets) }
    }
}
