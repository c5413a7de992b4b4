import Base

/// Saved state at one log position (`docs/format.md`, "Checkpoint").
package struct CheckpointHeader: Equatable, Sendable {
    static let byteCount = 96
    static let magic: UInt64 = 0x4B48_4352_4F54_4152  // "RATORCHK" as bytes
    /// Version 1 knew no packed segments, version 2 not when a segment was last settled in, version 3 no
    /// times of messages.
    package static let formatVersion: UInt32 = 4

    package let store: StoreID
    /// Rises by one with each checkpoint of a store.
    package let number: UInt64
    /// Every record before it is in this checkpoint, none from it on.
    package let position: LogPosition
    /// The group that begins at `position`.
    package let nextGroup: UInt64
    package let epoch: UInt64
    let nextQueueID: UInt32
    let segmentCount: UInt32
    let droppedCount: UInt32
    let queueCount: UInt32
}

/// What a checkpoint holds, decoded.
struct CheckpointContent {
    let header: CheckpointHeader
    let state: StoreState
}

/// Why a checkpoint file is not used; never fatal, for it is a cache.
package enum CheckpointFault: Error, Equatable, Sendable {
    case notACheckpoint
    case badChecksum
    case newerVersion(UInt32)
    case contradiction(String)
    /// The disk does not give its bytes.
    case unreadable(String)
}

enum CheckpointFormat {
    /// A queue with one extent.
    private static let queueBytesGuess = 128

    /// Encodes the state.
    ///
    /// `dropped` are segments that are still on disk and may go.
    static func encode(
        _ state: StoreState,
        store: StoreID,
        number: UInt64,
        position: LogPosition,
        nextGroup: UInt64,
        epoch: UInt64
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(state.queues.count * Self.queueBytesGuess)
        let segments = state.segments.infos
        let dropped = state.segments.absent
        bytes.append(littleEndian: CheckpointHeader.magic)
        bytes.append(littleEndian: CheckpointHeader.formatVersion)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: store.high)
        bytes.append(littleEndian: store.low)
        bytes.append(littleEndian: number)
        bytes.append(littleEndian: position.value)
        bytes.append(littleEndian: nextGroup)
        bytes.append(littleEndian: epoch)
        bytes.append(littleEndian: state.nextQueueID)
        bytes.append(littleEndian: UInt32(segments.count))
        bytes.append(littleEndian: UInt32(dropped.count))
        bytes.append(littleEndian: UInt32(state.queues.count))
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: UInt64(0))
        for segment in segments {
            bytes.append(littleEndian: UInt64(segment.number))
            bytes.append(littleEndian: UInt64(segment.length))
            bytes.append(littleEndian: UInt64(segment.footerOffset))
            bytes.append(littleEndian: UInt64(segment.generation))
            bytes.append(littleEndian: UInt64(segment.packedBytes))
            bytes.append(littleEndian: segment.packedLiveBytes)
            bytes.append(littleEndian: segment.settledMilliseconds)
        }
        for file in dropped {
            bytes.append(littleEndian: UInt64(file.segment))
            bytes.append(littleEndian: UInt64(file.generation))
        }
        state.queues.forEach { encode($0, to: &bytes) }
        let crc = Checksum.crc32c(0, bytes.span.bytes)
        bytes.replaceSubrange(12..<16, with: (0..<4).map { UInt8(crc >> ($0 * 8) & 0xFF) })
        return bytes
    }

    private static func encode(_ queue: QueueState, to bytes: inout [UInt8]) {
        let name = queue.name.utf8
        bytes.append(littleEndian: queue.id.value)
        bytes.append(littleEndian: UInt32(name.count))
        bytes.append(littleEndian: queue.nextSequence)
        bytes.append(littleEndian: UInt32(queue.extents.count))
        bytes.append(littleEndian: UInt32(queue.requeues.count))
        bytes.append(contentsOf: name)
        bytes += repeatElement(0, count: roundedUpToEight(name.count) - name.count)
        for extent in queue.extents {
            let (prefix, bitmap) = extent.settledState
            bytes.append(littleEndian: UInt64(extent.segment))
            bytes.append(littleEndian: extent.first)
            bytes.append(littleEndian: extent.count)
            bytes.append(littleEndian: prefix)
            bytes.append(littleEndian: extent.liveBytes)
            bytes.append(littleEndian: extent.times.expires)
            bytes.append(littleEndian: extent.times.taken)
            bytes.append(littleEndian: UInt64(bitmap.count))
            for word in bitmap { bytes.append(littleEndian: word) }
        }
        for (sequence, requeue) in queue.requeues.sorted(by: { $0.key < $1.key }) {
            bytes.append(littleEndian: sequence)
            bytes.append(littleEndian: requeue.word)
        }
    }

    /// Reads and checks a header and the checksum over the whole file.
    static func decodeHeader(_ bytes: RawSpan) throws(CheckpointFault) -> CheckpointHeader {
        guard bytes.byteCount >= CheckpointHeader.byteCount,
            bytes.uint64(at: 0) == CheckpointHeader.magic
        else { throw .notACheckpoint }
        guard Checksum.ofHeader(bytes) == bytes.uint32(at: 12) else { throw .badChecksum }
        let version = bytes.uint32(at: 8)
        guard (1...CheckpointHeader.formatVersion).contains(version) else {
            throw .newerVersion(version)
        }
        return CheckpointHeader(
            store: StoreID(high: bytes.uint64(at: 16), low: bytes.uint64(at: 24)),
            number: bytes.uint64(at: 32),
            position: LogPosition(value: bytes.uint64(at: 40)),
            nextGroup: bytes.uint64(at: 48),
            epoch: bytes.uint64(at: 56),
            nextQueueID: bytes.uint32(at: 64),
            segmentCount: bytes.uint32(at: 68),
            droppedCount: bytes.uint32(at: 72),
            queueCount: bytes.uint32(at: 76)
        )
    }

    /// Reads a whole checkpoint.
    static func decode(_ bytes: RawSpan) throws(CheckpointFault) -> CheckpointContent {
        let header = try decodeHeader(bytes)
        let version = bytes.uint32(at: 8)
        let knowsPacked = version > 1
        var reader = Reader(position: CheckpointHeader.byteCount)
        let state = StoreState()
        state.restore(nextQueueID: header.nextQueueID)
        var infos: [SegmentInfo] = []
        for _ in 0..<header.segmentCount {
            let number = UInt32(truncatingIfNeeded: try reader.uint64(bytes))
            let length = Int(truncatingIfNeeded: try reader.uint64(bytes))
            let footer = Int(truncatingIfNeeded: try reader.uint64(bytes))
            var info = SegmentInfo(
                number: number,
                length: length,
                footerOffset: footer,
                liveExtents: 0
            )
            if knowsPacked {
                info.generation = UInt32(truncatingIfNeeded: try reader.uint64(bytes))
                info.packedBytes = Int(truncatingIfNeeded: try reader.uint64(bytes))
                info.packedLiveBytes = try reader.uint64(bytes)
            }
            if version > 2 { info.settledMilliseconds = try reader.uint64(bytes) }
            infos.append(info)
        }
        var dropped: [SegmentFile] = []
        for _ in 0..<header.droppedCount {
            let number = UInt32(truncatingIfNeeded: try reader.uint64(bytes))
            let generation =
                knowsPacked ? UInt32(truncatingIfNeeded: try reader.uint64(bytes)) : 0
            dropped.append(SegmentFile(segment: number, generation: generation))
        }
        var queues: [QueueState] = []
        for _ in 0..<header.queueCount { queues.append(try reader.queue(bytes, version)) }
        guard reader.position == bytes.byteCount else {
            throw .contradiction("bytes follow the last queue")
        }
        var live: [UInt32: Int] = [:]
        for queue in queues {
            for extent in queue.extents { live[extent.segment, default: 0] += 1 }
        }
        for var info in infos {
            info.liveExtents = live.removeValue(forKey: info.number) ?? 0
            state.segments.restore(info)
        }
        guard live.isEmpty else { throw .contradiction("an extent lies in an unlisted segment") }
        for file in dropped {
            state.segments.restoreDropped(file, checkpoint: header.number)
        }
        for queue in queues { state.restoreCounted(queue) }
        return CheckpointContent(header: header, state: state)
    }

    /// Walks through the bytes; every read is checked against the end.
    private struct Reader {
        var position: Int

        mutating func uint64(_ bytes: RawSpan) throws(CheckpointFault) -> UInt64 {
            let start = try take(8, bytes)
            return bytes.uint64(at: start)
        }

        mutating func uint32(_ bytes: RawSpan) throws(CheckpointFault) -> UInt32 {
            let start = try take(4, bytes)
            return bytes.uint32(at: start)
        }

        mutating func take(_ count: Int, _ bytes: RawSpan) throws(CheckpointFault) -> Int {
            guard count >= 0, count <= bytes.byteCount - position else {
                throw .contradiction("it ends in the middle of an entry")
            }
            defer { position += count }
            return position
        }

        mutating func queue(
            _ bytes: RawSpan,
            _ version: UInt32
        ) throws(CheckpointFault) -> QueueState {
            let id = QueueID(try uint32(bytes))
            let nameBytes = Int(try uint32(bytes))
            let next = try uint64(bytes)
            let extentCount = try uint32(bytes)
            let requeueCount = try uint32(bytes)
            let nameStart = try take(roundedUpToEight(nameBytes), bytes)
            let queue = QueueState(
                id: id,
                name: bytes.string(nameStart..<nameStart + nameBytes),
                nextSequence: next
            )
            var extents: [Extent] = []
            for _ in 0..<extentCount { extents.append(try extent(bytes, version)) }
            var requeues: [UInt64: Requeue] = [:]
            for _ in 0..<requeueCount {
                let sequence = try uint64(bytes)
                requeues[sequence] = Requeue(word: try uint64(bytes))
            }
            queue.restore(extents: extents, requeues: requeues)
            return queue
        }

        mutating func extent(
            _ bytes: RawSpan,
            _ version: UInt32
        ) throws(CheckpointFault) -> Extent {
            let segment = UInt32(truncatingIfNeeded: try uint64(bytes))
            let first = try uint64(bytes)
            let count = try uint32(bytes)
            let prefix = try uint32(bytes)
            let liveBytes = try uint64(bytes)
            // Before version 4 no message expired, and when they were taken was not noted: long ago.
            var times = ExtentTimes(expires: .max, taken: 0)
            if version > 3 {
                times.expires = try uint64(bytes)
                times.taken = try uint64(bytes)
            }
            let words = Int(truncatingIfNeeded: try uint64(bytes))
            guard words >= 0, words <= (bytes.byteCount - position) / 8 else {
                throw .contradiction("a bitmap is longer than the file")
            }
            let start = try take(words * 8, bytes)
            let bitmap = (0..<words).map { bytes.uint64(at: start + $0 * 8) }
            guard
                let extent = Extent(
                    segment: segment,
                    first: first,
                    count: count,
                    liveBytes: liveBytes,
                    times: times,
                    prefix: prefix,
                    bitmap: bitmap
                )
            else { throw .contradiction("an extent's settled state does not fit its count") }
            return extent
        }
    }
}
