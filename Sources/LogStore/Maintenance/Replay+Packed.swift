import Base

/// Packed segments in a replay: which form of a segment serves, and what one holds.
extension Replay {
    /// Decides for each segment that is not replayed which of its files serves.
    ///
    /// Every form of a segment holds all of its unsettled messages, so one may stand in for another.
    mutating func sortOutForms() {
        for file in packed { state.segments.note(file) }
        let dropped = Set(state.segments.absent)
        for info in state.segments.infos where info.number < position.segment {
            if exists(info.file) { continue }
            guard let other = forms[info.number]?.first else {
                addDamage(info.file, 0..<0, "the file is missing", [])
                continue
            }
            state.segments.serve(other, bytes: info.packedBytes, liveBytes: info.packedLiveBytes)
            lost.add(
                Damage(
                    file: info.file.name,
                    offset: 0,
                    length: 0,
                    reason: "the file is missing; \(other.name) serves in its place"
                )
            )
        }
        for segment in Set(segments).union(packed.map(\.segment)).sorted() {
            let serving = servingForm(of: segment)
            for file in forms[segment] ?? [] where file != serving && !dropped.contains(file) {
                if serving != nil {
                    state.segments.replace(file)
                } else {
                    unknownFiles.append(file.name)
                }
            }
        }
    }

    /// The form that is served or replayed; nil if nobody knows the segment.
    private func servingForm(of segment: UInt32) -> SegmentFile? {
        if checkpoint != nil, segment < position.segment { return state.segments[segment]?.file }
        return formToReplay(segment)
    }

    /// The oldest form that is there: what was settled when a later one was made may be settled by a
    /// record that comes only after a checkpoint's position.
    func formToReplay(_ segment: UInt32) -> SegmentFile? { forms[segment]?.first }

    private func exists(_ file: SegmentFile) -> Bool { (forms[file.segment] ?? []).contains(file) }

    /// Whether a packed form is one of this log: something sound of it is left, or others tell that its
    /// segment was there.
    func isOurs(_ file: SegmentFile) throws(LogStoreError) -> Bool {
        if file.segment <= max(position.segment, segments.last ?? 0) { return true }
        do throws(FileError) {
            let handle = try files.open(directory + "/" + file.name, .read)
            defer { files.close(handle) }
            return try PackedReader(files, handle, file, store: store) != nil
        } catch {
            if error.reason == .notFound || error.spoilsOneFile { return false }
            throw .file(error)
        }
    }

    /// Applies what a packed form holds, where nothing else is left of its segment.
    ///
    /// Settled entries are not in it, so gaps in the sequences mean nothing, here and behind it.
    mutating func replayPacked(_ file: SegmentFile) throws(LogStoreError) {
        var substitute: SegmentFile?
        reading: do throws(FileError) {
            let handle = try files.open(directory + "/" + file.name, .read)
            defer { files.close(handle) }
            guard var reader = try PackedReader(files, handle, file, store: store) else {
                let length = try files.size(handle)
                addDamage(file, 0..<length, "nothing sound is left in the file", [])
                substitute = forms[file.segment]?.first { $0.generation > file.generation }
                if substitute != nil { break reading }
                leavePacked(file, length: SegmentHeader.byteCount, bytes: 0)
                return
            }
            if state.segments[file.segment] == nil { state.segments.begin(file.segment) }
            segmentsRead += 1
            scope.observer?.segmentBegins(
                file.segment,
                size: reader.header.originalLength,
                isPacked: true
            )
            unseen.formUnion(state.queues.numbers)
            let lists = try reader.allPostings()
            if lists == nil {
                let start = reader.index.footerOffset
                addDamage(file, start..<start, "the posting lists are damaged", [])
            }
            let listed = lists.map {
                Dictionary(
                    $0.map { ($0.queue, $0.postings) },
                    uniquingKeysWith: { first, _ in first }
                )
            }
            for fault in reader.faults {
                let lost = reader.lost(in: fault.range, of: lists ?? [])
                addDamage(file, fault.range, fault.reason, lost)
                tellOfDamage(file.segment, 0..<0)
            }
            for block in reader.index.lines.indices {
                let line = reader.index.lines[block]
                guard try reader.loadBlock(block) else {
                    let range = reader.fileRange(ofBlock: block)
                    let lost = reader.lost(in: range, of: lists ?? [])
                    addDamage(file, range, "the block is damaged", lost)
                    let held = Int(line.first)..<Int(line.last) + RecordHeader.byteCount
                    tellOfDamage(file.segment, held)
                    continue
                }
                for place in reader.places {
                    if isPastEnd(LogPosition(segment: file.segment, offset: place.offset)) { break }
                    takePacked(place, reader, file, block, listed)
                }
            }
            let length = reader.header.originalLength
            bytesRead += reader.fileBytes
            scope.observer?.segmentEnds(
                file.segment,
                .sealed(footerOffset: 0),
                end: LogPosition(segment: file.segment, offset: length),
                state: state
            )
            leavePacked(file, length: length, bytes: reader.fileBytes)
        } catch {
            if scope.isLive, error.reason == .notFound {
                return try replayNewForm(file.segment, after: file.generation)
            }
            throw .file(error)
        }
        if let substitute { try replayPacked(substitute) }
    }

    /// Turns to a packed form of a segment of whose own file nothing is left; false if there is none.
    mutating func usePackedForm(of segment: UInt32) -> Bool {
        guard let own = forms[segment]?.first, !own.isPacked, forms[segment]?.count ?? 0 > 1 else {
            return false
        }
        forms[segment]?.removeFirst()
        addDamage(own, 0..<0, "nothing sound is left in the file; a packed form serves", [])
        return true
    }

    /// Looks for the form that the daemon put in the place of one that was listed.
    ///
    /// None: everything in the segment was settled meanwhile.
    mutating func replayNewForm(
        _ segment: UInt32,
        after generation: UInt32 = 0
    ) throws(LogStoreError) {
        let reading = StoreFiles(files: files, directory: directory)
        let listing: StoreFiles<Files>.Listing
        do throws(FileError) { listing = try reading.list() } catch { throw .file(error) }
        scope.observer?.segmentWent(segment)
        if let form = listing.packed.last(where: {
            $0.segment == segment && $0.generation > generation
        }) {
            try replayPacked(form)
        }
    }

    private mutating func takePacked(
        _ place: (offset: Int, local: Int),
        _ reader: PackedReader<Files>,
        _ file: SegmentFile,
        _ block: Int,
        _ listed: [QueueID: Postings]?
    ) {
        guard let header = reader.record(at: place) else {
            let lost = (listed ?? [:]).flatMap { queue, postings in
                postings.entries(of: queue) { $0 == place.offset }
            }
            let range = reader.fileRange(ofBlock: block)
            addDamage(file, range, "a record in the block has a wrong checksum", lost)
            tellOfDamage(file.segment, place.offset..<place.offset + RecordHeader.byteCount)
            return
        }
        let bytes = reader.plain.span.bytes
        scope.observer?.meets(
            .record(header),
            at: LogPosition(segment: file.segment, offset: place.offset),
            in: bytes,
            local: place.local,
            state: state
        )
        applyPacked(
            header,
            bytes,
            at: place.local,
            file.segment,
            offset: place.offset,
            listed: listed
        )
    }

    private func tellOfDamage(_ segment: UInt32, _ range: Range<Int>) {
        scope.observer?.meets(
            .damage(range, "the block is damaged"),
            at: LogPosition(segment: segment, offset: range.lowerBound),
            in: [UInt8]().span.bytes,
            local: 0,
            state: state
        )
    }

    private mutating func leavePacked(_ file: SegmentFile, length: Int, bytes: Int) {
        if state.segments[file.segment] == nil { state.segments.begin(file.segment) }
        state.segments.seal(file.segment, length: length, footerOffset: 0)
        state.segments.serve(file, bytes: bytes, liveBytes: 0)
        sealPacked(file.segment, length: length)
        unseen.formUnion(state.queues.numbers)
    }

    private mutating func addDamage(
        _ file: SegmentFile,
        _ range: Range<Int>,
        _ reason: String,
        _ entries: [(queue: QueueID, sequence: UInt64)]
    ) {
        var found = DamagedRange(
            Damage(
                file: file.name,
                offset: range.lowerBound,
                length: range.count,
                reason: reason
            )
        )
        found.listed = entries
        lost.add(found)
    }
}
