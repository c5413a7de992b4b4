package import Base

/// What is known of an entry that was read.
package struct ReadEntry: Sendable, Equatable {
    package let sequence: EntrySequence
    /// How it came back last; nil if it never did.
    package var requeue: Requeue?
    /// When its message was taken, in ms since 1970.
    package let time: UInt64
    /// When it expires, in ms since 1970; 0 = never.
    package let expires: UInt64

    package var deliveryCount: UInt32 { requeue?.deliveryCount ?? 0 }
}

/// Reading entries, from the tail at once or from disk later.
extension LogStore {
    // MARK: Fetching

    /// The answer to `fetch`.
    package enum FetchStart: Equatable, Sendable {
        /// All that there was has been handed over; the next fetch goes on at `next`.
        case completed(next: EntrySequence)
        /// A `.fetched` notice follows.
        case pending
    }

    /// Reads unsettled entries of a queue from `sequence` on, in rising order, at most so many
    /// messages, and until `bytesMax` is passed.
    ///
    /// Entries that are still in the tail are lent to `take` at once; for others a read job is
    /// made. A run stays inside one segment, so it may be shorter than asked.
    package func fetch(
        _ id: QueueID,
        from sequence: EntrySequence,
        messagesMax: Int,
        bytesMax: Int,
        _ take: (ReadEntry, _ headers: RawSpan, _ body: RawSpan) -> Void
    ) -> FetchStart {
        guard let queue = state.queue(id) else { return .completed(next: sequence) }
        var index = queue.extentIndex(from: sequence.value)
        var first: UInt64?
        while index < queue.extents.count {
            first = queue.extents[index].firstUnsettled(from: sequence.value)
            if first != nil { break }
            index += 1
        }
        guard let first else {
            return .completed(next: EntrySequence(max(sequence.value, queue.nextSequence)))
        }
        let segment = queue.extents[index].segment
        let list: Postings? =
            segment == tail.segment
            ? nil : postings.find(segment: segment, queue: id)
        var next: UInt64? = first
        var messages = 0
        var bytes = 0
        while let current = next, messages < messagesMax, bytes < bytesMax,
            let offset = offset(of: current, queue, segment: segment, list),
            let placed = tail.chunk(at: LogPosition(segment: segment, offset: offset))
        {
            bytes += lend(placed, offset: offset, queue, current, take)
            messages += 1
            next = queue.extents[index].firstUnsettled(from: current + 1)
        }
        if messages > 0 {
            return .completed(next: EntrySequence(next ?? queue.extents[index].end))
        }
        read(queue, extent: index, from: first, list, messagesMax: messagesMax, bytesMax: bytesMax)
        return .pending
    }

    @inline(__always)
    func offset(
        of sequence: UInt64,
        _ queue: QueueState,
        segment: UInt32,
        _ list: Postings?
    ) -> Int? {
        if segment != tail.segment { return list?.offset(of: sequence) }
        // The list may begin later than the queue's entries, where damage took the first ones.
        guard sequence >= queue.activeFirst,
            sequence - queue.activeFirst < UInt64(queue.activeOffsets.count)
        else { return nil }
        let offset = queue.activeOffsets[Int(sequence - queue.activeFirst)]
        return offset == 0 ? nil : Int(offset)
    }

    /// Lends one message of the tail to `take`; returns its bytes.
    @inline(__always)
    func lend(
        _ placed: LogTail.Placed,
        offset: Int,
        _ queue: QueueState,
        _ sequence: UInt64,
        _ take: (ReadEntry, RawSpan, RawSpan) -> Void
    ) -> Int {
        let requeue = queue.requeues.isEmpty ? nil : queue.requeues[sequence]
        return placed.chunk.withBytes(0..<placed.chunk.count) { bytes in
            let at = offset - placed.start
            guard let header = RecordHeader(bytes, at: at),
                let record = MessageRecord(header, bytes, at: at)
            else { fatalError("the tail holds no message where the posting list says") }
            take(
                ReadEntry(
                    sequence: EntrySequence(sequence),
                    requeue: requeue,
                    time: record.timeMilliseconds,
                    expires: record.expiresMilliseconds
                ),
                bytes.extracting(record.headers),
                bytes.extracting(record.body)
            )
            return record.messageBytes
        }
    }

    func read(
        _ queue: QueueState,
        extent index: Int,
        from first: UInt64,
        _ list: Postings?,
        messagesMax: Int,
        bytesMax: Int
    ) {
        let extent = queue.extents[index]
        var sequences: [UInt64] = []
        var next: UInt64? = first
        while let current = next, sequences.count < messagesMax {
            // What the writer has not written yet is not on disk for a reader to find.
            if let offset = offset(of: current, queue, segment: extent.segment, list),
                LogPosition(segment: extent.segment, offset: offset) >= writtenTo
            {
                break
            }
            sequences.append(current)
            next = extent.firstUnsettled(from: current + 1)
        }
        var list = list
        if extent.segment == tail.segment, let last = sequences.last {
            // The list of the active segment keeps growing; the job gets the part that it needs.
            let offsets = (first...last).map { sequence in
                UInt32(offset(of: sequence, queue, segment: extent.segment, nil) ?? 0)
            }
            list = Postings(first: first, offsets: offsets)
        }
        openReads += 1
        readsSinceTick += 1
        if extent.segment != tail.segment { restingSince[extent.segment] = turnTime }
        let info = state.segments[extent.segment]
        let job = ReadJob(
            queue: queue.id,
            file: info?.file ?? SegmentFile(segment: extent.segment, generation: 0),
            seed: id.seed(ofSegment: extent.segment),
            sequences: sequences,
            postings: list,
            footerOffset: info?.footerOffset ?? 0,
            length: info?.length ?? 0,
            bytesMax: bytesMax
        )
        // The list must come from a footer that is still on its way to the disk.
        if list == nil, writtenTo.segment <= extent.segment {
            readsBehindSeal.append(job)
        } else {
            jobs.append(.read(job))
        }
    }

    /// Starts the reads whose segment is written in full now.
    func releaseReadsBehindSeal() {
        guard !readsBehindSeal.isEmpty else { return }
        for job in readsBehindSeal where job.segment < writtenTo.segment { jobs.append(.read(job)) }
        readsBehindSeal.removeAll { $0.segment < writtenTo.segment }
    }

    func quarantined(_ report: QuarantineReport) {
        if !report.isEmpty { notices.append(.quarantined(report)) }
    }

    func finishRead(_ result: ReadResult) {
        if result.isWorthRetrying {
            readsToRetry.append(result.job)
            return
        }
        if result.isMissing, let file = state.segments[result.job.segment]?.file,
            file != result.job.file
        {
            // It was packed since the job was made.
            var job = result.job
            job.file = file
            jobs.append(.read(job))
            return
        }
        openReads -= 1
        if let list = result.postings {
            postings.insert(list, segment: result.job.segment, queue: result.job.queue)
        }
        guard let queue = state.queue(result.job.queue) else { return }
        var result = result
        func isUnsettled(_ sequence: UInt64) -> Bool {
            queue.extentIndex(of: sequence).map { !queue.extents[$0].isSettled(sequence) } ?? false
        }
        result.items.removeAll { !isUnsettled($0.entry.sequence.value) }
        for index in result.items.indices {
            let sequence = result.items[index].entry.sequence.value
            result.items[index].entry.requeue = queue.requeues[sequence]
        }
        // What was settled while the read ran may be gone from the disk; that is no damage.
        var damage = result.damage.filter { damage in
            damage.entries.isEmpty
                || damage.entries.contains { range in
                    (range.first..<range.end).contains(where: isUnsettled)
                }
        }
        for index in damage.indices { damage[index].queue = queue.name }
        if !damage.isEmpty {
            jobs.append(.quarantine(damage))
            notices.append(.damaged(Damage.merged(damage)))
        }
        notices.append(.fetched(result))
    }
}
