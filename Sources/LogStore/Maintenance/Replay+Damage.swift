import Base

/// What a replay notes of bytes, files and entries that are not there as they must be.
extension Replay {
    mutating func addDamage(
        _ segment: UInt32,
        _ offset: Int,
        _ length: Int,
        _ reason: String
    ) {
        lost.add(
            Damage(
                file: FileNames.segment(segment),
                offset: offset,
                length: length,
                reason: reason
            )
        )
    }

    /// A file without anything of its own was never begun, unless a later segment or the checkpoint
    /// says that it was; then it stays.
    mutating func noteUnreadable(lastBegun: UInt32?) {
        let vouchedSegment = checkpoint?.header.position.segment
        func wasBegun(_ segment: UInt32) -> Bool {
            segment < lastBegun ?? 0 || segment == vouchedSegment
        }
        for segment in unfinished where wasBegun(segment) {
            addDamage(
                segment,
                0,
                SegmentHeader.byteCount,
                "no header and no group of this segment is left in the file"
            )
        }
        unreadable = Set(unfinished.filter(wasBegun))
        unfinished.removeAll(where: wasBegun)
    }

    func isPastEnd(_ position: LogPosition) -> Bool {
        scope.observer?.isDone == true || scope.end.map { position >= $0 } ?? false
    }

    /// Segments behind the checkpoint's position stay until a later checkpoint leaves them out, so
    /// one that is not there was lost; without a checkpoint it may have been done with.
    mutating func noteMissing(before segment: UInt32) {
        let expected = lastSegment.map { $0 + 1 } ?? (checkpoint == nil ? nil : position.segment)
        guard let expected, expected < segment else { return }
        mayJump = true
        // A file that is there and cannot be read was not done with.
        if (expected..<segment).allSatisfy(unreadable.contains) { return }
        if checkpoint == nil {
            unseen.formUnion(state.queues.numbers)
            return
        }
        for missing in expected..<segment
        where formToReplay(missing) == nil && missing != position.segment {
            addDamage(missing, 0, 0, "the file is missing")
        }
    }

    /// Keeps a damaged range with what can still be made of its bytes.
    mutating func addDamage(
        _ segment: UInt32,
        _ range: Range<Int>,
        _ reason: String,
        _ reader: BlockReader<Files>
    ) throws(FileError) {
        var reader = reader
        var reason = reason
        if try isFooter(range, &reader) { reason = "the footer is damaged" }
        var found = DamagedRange(
            Damage(
                file: FileNames.segment(segment),
                offset: range.lowerBound,
                length: range.count,
                reason: reason
            )
        )
        let length = min(range.count, BlockReader<Files>.blockBytes)
        if try reader.load(range.lowerBound, length) {
            let start = range.lowerBound - reader.start
            let bytes = reader.window.span.bytes.extracting(start..<start + length)
            let state = state
            found.readHints(bytes) { state.queue($0) != nil }
        }
        lost.add(found)
        mayJump = true
    }

    /// Whether the damaged range is the footer at the file's end, by either of its ends.
    private func isFooter(
        _ range: Range<Int>,
        _ reader: inout BlockReader<Files>
    ) throws(FileError) -> Bool {
        guard range.upperBound == reader.size, range.count >= RecordHeader.byteCount + 8,
            try reader.load(range.lowerBound, RecordHeader.byteCount)
        else { return false }
        let start = range.lowerBound - reader.start
        if let header = RecordHeader(reader.window.span.bytes, at: start),
            header.kind == .footer, header.length == range.count
        {
            return true
        }
        guard try reader.load(range.upperBound - 8, 8) else { return false }
        let tail = reader.window.span.bytes.uint64(at: range.upperBound - 8 - reader.start)
        return tail == UInt64(range.lowerBound)
    }

    /// A segment that ends before a position that was durable has lost its rest.
    mutating func noteEarlyEnd(
        _ kind: ScanEnd,
        at place: LogPosition,
        _ durable: LogPosition
    ) {
        if case .sealed = kind { return }
        guard place < durable else { return }
        let known = lost.ranges.last?.damage
        if let known, known.file == FileNames.segment(place.segment),
            known.offset + known.length >= place.offset
        {
            return
        }
        let isInside = durable.segment == place.segment
        addDamage(
            place.segment,
            place.offset,
            isInside ? durable.offset - place.offset : 0,
            isInside ? "the log ends before a position that was durable" : "the footer is missing"
        )
    }

    /// A footer tells which entries stood in the damaged parts of its segment.
    mutating func readFooter(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        _ segment: UInt32
    ) {
        let file = FileNames.segment(segment)
        guard lost.ranges.contains(where: { $0.damage.file == file }),
            let footer = SegmentFooter(header, bytes, at: local)
        else { return }
        for line in footer.lines {
            if let postings = SegmentFooter.postings(of: line, in: bytes, at: local) {
                lost.addFooter(line, postings, segmentFile: file)
            }
        }
    }

    /// Names the entries that damage took: sequences rise by one, so a gap tells them.
    mutating func noteLost(_ queue: QueueState, upTo sequence: UInt64) {
        let mayHaveGoneOn = unseen.remove(queue.id.value) != nil
        guard sequence > queue.nextSequence, !mayHaveGoneOn else { return }
        lost.addGap(queue.id, queue.nextSequence..<sequence)
    }
}
