import Base

/// Which segments are packed, and when.
///
/// A segment is packed when so little of it is live that rewriting that gives disk back, or when it has
/// rested for a while and compression may. One at a time, so many bytes a second at most, and never one
/// that a start might still have to replay. On a scarce disk the next ones wait until the last ones have given
/// their disk back. A message is copied once, and again each time that half of
/// what was packed with it is done with.
extension LogStore {
    /// A segment that was worth packing, with the queues that have something unsettled in it.
    struct PackCandidate {
        let segment: UInt32
        var queues: Set<QueueID> = []
    }

    /// What is live in one segment, over all queues.
    private struct Live {
        var bytes: UInt64 = 0
        var entries = 0

        /// About what a packed form without compression takes; never 0, for what has no bytes takes room,
        /// too.
        var packedBytes: Int { Int(clamping: bytes) + entries * 48 + 512 }

        mutating func add(_ extent: Extent) {
            bytes += extent.liveBytes
            entries += Int(extent.liveCount)
        }
    }

    /// Once per tick.
    func tickPacking(now: MonotonicTime) {
        if firstTick == nil { firstTick = now }
        isQuiet = takeQuiet()
        guard options.packs, !isPacking else { return }
        if now >= rankNotBefore { rankCandidates(now: now) }
        pickPacking(now: now)
    }

    /// Lists the segments that are worth packing, those that gain most last.
    ///
    /// Linear in the extents, and put off in the same measure, so that many of them do not take the
    /// loop's time from messages.
    private func rankCandidates(now: MonotonicTime) {
        var live: [UInt32: Live] = [:]
        var extents: UInt64 = 0
        state.queues.forEach { queue in
            extents += UInt64(queue.extents.count)
            for extent in queue.extents { live[extent.segment, default: Live()].add(extent) }
        }
        rankNotBefore = now.advanced(by: Interval(nanoseconds: extents * 1_000))
        var ranked: [(number: UInt32, gain: Int)] = []
        for info in state.segments.infos where isPackable(info) {
            guard let live = live[info.number] else { continue }
            let gain = gain(info, live)
            if gain > 0 || isWorthCompressing(info, now: now) { ranked.append((info.number, gain)) }
        }
        // Of those that only compression makes smaller, the oldest first.
        ranked.sort { ($0.gain, $1.number) < ($1.gain, $0.number) }
        packCandidates = ranked.suffix(Self.candidatesMax).map { PackCandidate(segment: $0.number) }
        let places = Dictionary(
            uniqueKeysWithValues: packCandidates.indices.map { (packCandidates[$0].segment, $0) }
        )
        if places.isEmpty { return }
        state.queues.forEach { queue in
            for extent in queue.extents {
                if let place = places[extent.segment] {
                    packCandidates[place].queues.insert(queue.id)
                }
            }
        }
    }

    private static var candidatesMax: Int { 1_024 }

    /// Starts packing the best of the listed segments that is still worth it.
    private func pickPacking(now: MonotonicTime) {
        // Both forms take room until checkpoints leave the old one out, and these need room themselves.
        if isSpaceLow, state.segments.doubledBytes > (space.freeBytes ?? 0) / 4 { return }
        while !isPacking, now >= packNotBefore, let candidate = packCandidates.popLast() {
            guard let info = state.segments[candidate.segment], isPackable(info) else { continue }
            var unsettled = Live()
            var extents: [QueueID: [Extent]] = [:]
            for id in candidate.queues {
                guard let found = state.queue(id)?.extents(in: info.number), !found.isEmpty else {
                    continue
                }
                for extent in found { unsettled.add(extent) }
                extents[id] = Array(found)
            }
            let gains = gain(info, unsettled) > 0
            if gains || isWorthCompressing(info, now: now) {
                pack(info, extents, unsettled, needsCompression: !gains)
            }
        }
    }

    private func isPackable(_ info: SegmentInfo) -> Bool {
        guard let covered = checkpointedTo else { return false }
        return info.isSealed && info.liveExtents > 0 && info.number < covered.segment
            && !isRetained(info) && !unpackable.contains(info.number)
    }

    /// Whether a segment has rested, and now is the time to compress it.
    private func isWorthCompressing(_ info: SegmentInfo, now: MonotonicTime) -> Bool {
        isQuiet && options.packCodec != .stored && info.generation == 0
            && !incompressible.contains(info.number)
            && now.since(restingSince[info.number] ?? firstTick ?? now) >= options.packColdAfter
    }

    /// Bytes that packing a segment gives back; 0 if it is not worth it.
    private func gain(_ info: SegmentInfo, _ live: Live) -> Int {
        let (now, then) =
            info.generation == 0
            ? (live.packedBytes, info.length)
            : (live.packedBytes, Int(clamping: info.packedLiveBytes))
        guard Double(now) < Double(then) * options.packBelowLive else { return 0 }
        let bytes = info.generation == 0 ? info.length : info.packedBytes
        let gain = Int(Double(bytes) * (1 - Double(now) / Double(then)))
        return gain >= options.packGainBytesMin ? gain : 0
    }

    /// Whether hardly anything was appended or read since the last call.
    private func takeQuiet() -> Bool {
        let end = tail.end
        defer {
            quietEnd = end
            readsSinceTick = 0
        }
        return readsSinceTick == 0 && end.segment == quietEnd.segment
            && end.offset - quietEnd.offset < 1 << 20
    }

    private func pack(
        _ info: SegmentInfo,
        _ live: [QueueID: [Extent]],
        _ unsettled: Live,
        needsCompression: Bool
    ) {
        let target = SegmentFile(
            segment: info.number,
            generation: state.segments.takeGeneration()
        )
        isPacking = true
        // A crash may leave it behind when its segment is gone, and nobody else would know it then.
        state.segments.leave(target)
        jobs.append(
            .pack(
                PackJob(
                    source: info.file,
                    target: target,
                    originalLength: info.length,
                    live: live,
                    liveBytes: UInt64(unsettled.packedBytes),
                    codec: options.packCodec,
                    blockBytes: options.packBlockBytes,
                    needsCompression: needsCompression
                )
            )
        )
    }

    func packed(_ job: PackJob, _ outcome: PackOutcome, now: MonotonicTime) {
        isPacking = false
        let number = job.source.segment
        switch outcome {
        case .packed(let fileBytes, _):
            charge(job, now: now)
            restingSince[number] = nil
            if state.segments[number]?.file == job.source {
                state.segments.pack(job.target, bytes: fileBytes, liveBytes: job.liveBytes)
            } else {
                // All of it was settled meanwhile.
                jobs.append(.remove([job.target]))
            }
        case .notWorthIt:
            state.segments.left(job.target)
            incompressible.insert(number)
            charge(job, now: now)
        case .damaged:
            state.segments.left(job.target)
            unpackable.insert(number)
        case .failed:
            // It may have got its name.
            jobs.append(.remove([job.target]))
            packNotBefore = now.advanced(by: .seconds(10))
        }
        pickPacking(now: now)
    }

    /// Counts a segment against the rate; what was not used of the last second still counts.
    ///
    /// Compressing costs about four times what picking out the live part does.
    private func charge(_ job: PackJob, now: MonotonicTime) {
        let bytes = job.needsCompression ? 4 * job.originalLength : job.originalLength
        let share = Double(bytes) / Double(options.packBytesPerSecond)
        let second = Interval.seconds(1)
        let start = now.nanoseconds > second.nanoseconds ? now.nanoseconds - second.nanoseconds : 0
        packNotBefore = max(packNotBefore, MonotonicTime(nanoseconds: start))
            .advanced(by: Interval(nanoseconds: UInt64(share * 1e9)))
    }
}
