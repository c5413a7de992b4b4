package import Base

// The store does no I/O itself: it hands out jobs, someone performs them on whatever thread, and
// brings back the results. So a simulation can order, delay and cut them as it likes.

/// Something that a store wants done with files.
package enum StoreJob: Sendable {
    case write(WriteJob)
    case read(ReadJob)
    case checkpoint(CheckpointJob)
    case prepareSpare(SpareJob)
    case remove([SegmentFile])
    case pack(PackJob)
    /// Keep copies of damaged bytes.
    case quarantine([Damage])
    case checkSpace
}

/// The result of a job.
package enum StoreResult: Sendable {
    case written(WriteJob, FileError?)
    case read(ReadResult)
    case checkpointed(CheckpointJob, FileError?)
    /// `bytes` is the prepared file's length.
    case sparePrepared(SpareJob, bytes: Int, FileError?)
    case removed([SegmentFile], FileError?)
    case packed(PackJob, PackOutcome)
    case quarantined(QuarantineReport)
    case space(freeBytes: Int?)
}

/// One or more groups, written and synced in one go.
///
/// Write jobs are performed one after another.
package struct WriteJob: Sendable {
    enum Step: Sendable {
        /// A new segment begins: take the prepared file, or create one.
        case begin(segment: UInt32, spare: UInt64?, header: SegmentHeader)
        case write(segment: UInt32, offset: Int, chunk: MemoryChunk, range: Range<Int>)
        /// The segment is complete: sync it and cut it to its length.
        case seal(segment: UInt32, length: Int)

        /// Bytes that it writes.
        var byteCount: Int {
            switch self {
            case .begin: SegmentHeader.byteCount
            case .write(_, _, _, let range): range.count
            case .seal: 0
            }
        }
    }

    let steps: [Step]
    let syncs: Bool
    let bytes: Int
    /// The last group in it.
    let group: UInt64
    /// The log's end once it is written.
    let end: LogPosition
    /// True in the result if the disk was full, or too many files open, before any sync had failed:
    /// then `steps` are those that are left, to be performed again.
    var canRepeat = false

    /// The job without its first `count` steps.
    func rest(from count: Int, canRepeat: Bool) -> WriteJob {
        WriteJob(
            steps: Array(steps[count...]),
            syncs: syncs,
            bytes: bytes,
            group: group,
            end: end,
            canRepeat: canRepeat
        )
    }
}

/// Messages of one queue to be read from one segment.
package struct ReadJob: Sendable {
    package let queue: QueueID
    var file: SegmentFile
    var segment: UInt32 { file.segment }
    let seed: UInt32
    /// Unsettled entries in rising order; never empty.
    let sequences: [UInt64]
    /// The posting list, or nil to load it from the footer.
    let postings: Postings?
    let footerOffset: Int
    /// Bytes of the segment as it was written; 0 while it is active.
    let length: Int
    let bytesMax: Int
    /// How often an error of the disk may still be hoped to pass.
    var triesLeft = 4
}

/// What a read brought: messages as ranges of one run of bytes.
package struct ReadResult: Sendable {
    /// One message that was read and checked.
    package struct Item: Sendable {
        package var entry: ReadEntry
        package let headers: Range<Int>
        package let body: Range<Int>

        package var sequence: EntrySequence { entry.sequence }
        package var deliveryCount: UInt32 { entry.deliveryCount }
    }

    package var job: ReadJob
    package var bytes: [UInt8]
    package var items: [Item]
    /// Where the next fetch goes on.
    package var next: EntrySequence
    /// The posting list, if it was loaded.
    var postings: Postings?
    package var damage: [Damage]
    /// True if nothing was read for a reason that may pass: too many open files, or an error of the
    /// disk that was not met often enough to be believed.
    ///
    /// `job` is then the one to perform later.
    var isWorthRetrying = false
    /// True if the file is gone; it may have been packed meanwhile.
    var isMissing = false
}

/// A checkpoint to be written.
package struct CheckpointJob: Sendable {
    let number: UInt64
    let bytes: [UInt8]
    /// Everything before it is in the checkpoint.
    let position: LogPosition
    /// The checkpoints that go when this one is there: all but the last, and what failed ones left.
    let replaces: [UInt64]
    /// In the result: those that could not be removed.
    var left: [UInt64] = []
}

/// A file to be made ready to become a segment.
package struct SpareJob: Sendable {
    let number: UInt64
    /// A dropped segment whose file serves again, or nil to write a new one.
    let recycles: SegmentFile?
    let byteCount: Int
    let minFreeBytes: Int

    /// The length from which on a file is as good as one of a segment's full length.
    ///
    /// A shorter one would take most of its blocks from the disk as it grows.
    static func leastBytes(of segmentBytes: Int) -> Int { segmentBytes / 4 * 3 }
}

/// A sealed segment to be packed, or a packed one to be packed again.
package struct PackJob: Sendable {
    let source: SegmentFile
    let target: SegmentFile
    /// Of the sealed segment.
    let originalLength: Int
    /// The extents that had unsettled entries in the segment when the job was made, by queue.
    let live: [QueueID: [Extent]]
    /// About what they take without compression.
    let liveBytes: UInt64
    let codec: BlockCodec
    /// Plain bytes at which a block is closed; a larger record has a block of its own.
    let blockBytes: Int
    /// Only compression can gain anything.
    let needsCompression: Bool

    func isLive(_ queue: QueueID, _ sequence: UInt64) -> Bool {
        guard let extents = live[queue] else { return false }
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].end <= sequence { low = middle + 1 } else { high = middle }
        }
        return low < extents.count && extents[low].first <= sequence
            && !extents[low].isSettled(sequence)
    }
}

/// What came of packing a segment.
package enum PackOutcome: Sendable {
    case packed(fileBytes: Int, messages: Int)
    /// Nothing to gain.
    case notWorthIt
    /// A record could not be read: the segment stays for whoever wants to look at it.
    case damaged
    case failed(FileError)
}

/// What a store tells its owner.
package enum StoreNotice: Sendable {
    /// Every group up to this one is durable by the `fsync` rule.
    case durable(group: UInt64)
    case fetched(ReadResult)
    case pressure(Bool)
    case sendsRefused(String?)
    /// Bytes that could not be read; what they held is not delivered.
    case damaged([Damage])
    /// So many segments with settled messages that `retain` would have kept go, for disk is short.
    case retentionShortened(segments: Int)
    /// What was kept of damaged bytes, and what was not.
    case quarantined(QuarantineReport)
    /// The store has ended.
    case failed(FileError)
}
