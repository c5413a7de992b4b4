import Base

/// Which segments are packed, and when.
///
/// A segment is packed when so little of it is live that rewriting that gives disk back, or when it has
/// rested for a while and compression may. One at a time, so many bytes a second at most, and never one
/// that a start might still have to replay. A message is copied once, and again each time that half of
/// what was packed with it is done with.
extension LogStore {
    /// What is live in one segment, over all queues.
    private struct Live {
        var bytes: UInt64 = 0
        var entries = 0

        /// About what a packed form without compression takes; never 0, for what has no bytes takes room,
        /// too.
        var packedBytes: Int { Int(clamping: bytes) + entries * 48 + 512 }
    }

    /// Once per tick.
    func tickPacking(now: MonotonicTime) {
        if firstTick == nil { firstTick = now }
        isQuiet = takeQuiet()
        pickPacking(now: now)
    }

    /// Starts packing the segment that gains most, if one is worth it.
    ///
    /// Linear in the extents.
    private func pickPacking(now: MonotonicTime) {
        guard options.packs, !isPacking, now >= packNotBefore, let covered = checkpointedTo else {
            return
        }
        let live = liveInSegments()
        var best: (info: SegmentInfo, gain: Int)?
        var coldest: SegmentInfo?
        for info in state.segments.segments.values {
            guard info.isSealed, info.liveExtents > 0, info.number < covered.segment,
                !isRetained(info), !unpackable.contains(info.number), let live = live[info.number]
            else { continue }
            let gain = gain(info, live)
            if gain > 0, best.map({ ($0.gain, info.number) < (gain, $0.info.number) }) ?? true {
                best = (info, gain)
            }
            if isQuiet, info.generation == 0, !incompressible.contains(info.number),
                now.since(restingSince[info.number] ?? firstTick ?? now) >= options.packColdAfter,
                info.number < coldest?.number ?? .max
            {
                coldest = info
            }
        }
        if let best {
            pack(best.info, live[best.info.number] ?? Live(), needsCompression: false)
        } else if let coldest, options.packCodec != .stored {
            pack(coldest, live[coldest.number] ?? Live(), needsCompression: true)
        }
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

    private func liveInSegments() -> [UInt32: Live] {
        var live: [UInt32: Live] = [:]
        for queue in state.queues.values {
            for extent in queue.extents {
                live[extent.segment, default: Live()].bytes += extent.liveBytes
                live[extent.segment, default: Live()].entries += Int(extent.liveCount)
            }
        }
        return live
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

    private func pack(_ info: SegmentInfo, _ unsettled: Live, needsCompression: Bool) {
        var live: [QueueID: [Extent]] = [:]
        for queue in state.queues.values {
            let extents = queue.extents.filter { $0.segment == info.number }
            if !extents.isEmpty { live[queue.id] = extents }
        }
        let target = SegmentFile(
            segment: info.number,
            generation: state.segments.takeGeneration()
        )
        isPacking = true
        jobs.append(
            .pack(
                PackJob(
                    source: info.file,
                    target: target,
                    originalLength: info.length,
                    live: live,
                    liveBytes: UInt64(unsettled.packedBytes),
                    codec: options.packCodec,
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
            incompressible.insert(number)
            charge(job, now: now)
        case .damaged:
            unpackable.insert(number)
        case .failed:
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
