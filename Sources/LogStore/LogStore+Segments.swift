import Base

/// Groups, and the segments that they stand in.
extension LogStore {
    func openGroup() {
        guard groupStart == nil else { return }
        tail.reserve(GroupRecord.length)
        groupStart = tail.end
        tail.append { $0.append(repeating: 0, count: GroupRecord.length, as: UInt8.self) }
        unconfirmedBytes += GroupRecord.length
    }

    /// Fills in the open group's header: only now its length is known.
    func closeGroup() {
        guard let start = groupStart else { return }
        let record = GroupRecord(
            number: nextGroup,
            epoch: epoch,
            durable: syncedTo,
            groupBytes: tail.end.offset - start.offset
        )
        let seed = Checksum.seed(seed, at: start.offset)
        tail.patch(at: start, count: GroupRecord.length) { record.append(to: &$0, seed: seed) }
        groupStart = nil
        nextGroup += 1
    }

    /// Seals the active segment with its footer and begins the next.
    func roll() {
        flushSettles()
        let segment = tail.segment
        openGroup()
        let footerOffset = tail.end.offset
        let footer = SegmentFooter.encode(
            footerSources(),
            at: footerOffset,
            seed: Checksum.seed(seed, at: footerOffset)
        )
        tail.reserve(footer.count)
        tail.append { $0.append(bytes: footer.span.bytes) }
        unconfirmedBytes += footer.count
        closeGroup()
        addWriteSteps()
        steps.append(.seal(segment: segment, length: tail.end.offset))
        state.segments.seal(segment, length: tail.end.offset, footerOffset: footerOffset)
        sealed(segment, bytes: tail.end.offset)
        for queue in activeQueues {
            if !queue.extents.isEmpty, !queue.activeOffsets.isEmpty {
                let list = Postings(first: queue.activeFirst, offsets: queue.activeOffsets)
                postings.insert(list, segment: segment, queue: queue.id)
            }
            queue.endSegment()
        }
        activeQueues.removeAll(keepingCapacity: true)
        footerBytes = SegmentFooter.emptyBytesMax

        let next = segment + 1
        let spare = spares.isEmpty ? nil : spares.removeFirst()
        // A prepared file has its bytes; any other takes them from the disk as it grows.
        space.claim(max(0, tail.end.offset - options.segmentBytes))
        if spare == nil { space.claim(options.segmentBytes) }
        seed = id.seed(ofSegment: next)
        tail.beginSegment(next)
        handedTo = tail.end
        state.segments.begin(next)
        beginSegment(spare: spare, createdMilliseconds: 0)
        prepareSpare()
        askForSpace()
        updateRefusal()
    }

    /// Whether to leave a file that takes its blocks from the disk as it grows, a new store's first,
    /// for one that has them: then syncs have no metadata to write, which costs them a multiple.
    ///
    /// Not before something stands in it, or an idle store would take a further segment for nothing.
    var isPreparedBetter: Bool {
        !isActivePrepared && !spares.isEmpty
            && tail.end.offset > max(options.segmentBytes / 256, BlockBuffer.blockBytes)
    }

    /// Has the writer begin the segment at the tail, and appends its header.
    func beginSegment(spare: Spare?, createdMilliseconds: UInt64) {
        isActivePrepared = spare != nil
        let header = SegmentHeader(
            store: id,
            segment: tail.segment,
            epoch: epoch,
            createdMilliseconds: createdMilliseconds,
            preparedBytes: spare?.bytes ?? 0
        )
        tail.reserve(SegmentHeader.byteCount)
        tail.append { header.encode(into: &$0) }
        steps.append(.begin(segment: tail.segment, spare: spare?.number, header: header))
    }

    /// The posting lists for a footer: of each queue, its entries from the first unsettled one on.
    func footerSources() -> [SegmentFooter.Source] {
        activeQueues.compactMap { queue in
            let extents = queue.extents(in: tail.segment)
            // Without the places of all of them, which damage can take, readers look for themselves.
            guard let first = extents.first?.firstUnsettled(from: 0), first >= queue.activeFirst,
                first - queue.activeFirst < UInt64(queue.activeOffsets.count)
            else { return nil }
            return SegmentFooter.Source(
                queue: queue.id,
                first: first,
                bytes: extents.reduce(0) { $0 + $1.liveBytes },
                offsets: queue.activeOffsets[Int(first - queue.activeFirst)...]
            )
        }
    }

    func addWriteSteps() {
        for piece in tail.pieces(from: handedTo) {
            steps.append(
                .write(
                    segment: tail.segment,
                    offset: piece.offset,
                    chunk: piece.chunk,
                    range: piece.range
                )
            )
            handedBytes += piece.range.count
        }
        handedTo = tail.end
    }
}
