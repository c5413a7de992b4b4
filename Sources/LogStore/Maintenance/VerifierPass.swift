import Base

/// Follows a replay of the whole log and checks what a replay by itself has no need of: atomic units,
/// names, footers against the records, and checkpoints against what the records lead to.
///
/// Confinement: whoever made it; one replay.
final class VerifierPass: ReplayObserver {
    private(set) var report: VerifierReport
    private let checkpoints: [(header: CheckpointHeader, state: StoreState)]
    private var comparedCount = 0
    /// The log was never shortened and nothing in it is missing, so that both directions can be told.
    private let isComplete: Bool
    private let total: Int
    private let progress: (_ done: Int, _ total: Int) -> Void

    private var segment: UInt32 = 0
    private var size = 0
    private var finishedBytes = 0
    private var reported = 0
    private var unitStart: Int?
    private var isPacked = false
    private var isSegmentDamaged = false
    private var isDamaged = false
    private var hasGone = false
    private var group: GroupRecord?
    /// What does not fit, beside damage that the replay finds.
    private(set) var findings: [Damage] = []

    /// How the reason begins where a checkpoint contradicts the records, or another checkpoint.
    static let misfits = ["it does not fit the records: ", "it does not follow from "]

    init(
        store: StoreID,
        checkpoints: [(header: CheckpointHeader, state: StoreState)],
        isComplete: Bool,
        total: Int,
        progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) {
        report = VerifierReport(store: store.description)
        self.checkpoints = checkpoints
        self.isComplete = isComplete
        self.total = total
        self.progress = progress
    }

    // MARK: Events

    func segmentBegins(_ segment: UInt32, size: Int, isPacked: Bool) {
        self.segment = segment
        self.size = size
        self.isPacked = isPacked
        isSegmentDamaged = false
        unitStart = nil
        group = nil
        report.segments += 1
    }

    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    ) {
        compareCheckpoints(upTo: position, state)
        showProgress(position.offset)
        switch event {
        case .group(let group): meets(group, at: position)
        case .record(let header): meets(header, at: position, bytes, local, state)
        case .damage:
            isSegmentDamaged = true
            isDamaged = true
            unitStart = nil
        case .end: break
        }
    }

    func segmentEnds(_ segment: UInt32, _ kind: ScanEnd, end: LogPosition, state: StoreState) {
        compareCheckpoints(upTo: end, state)
        report.bytes += end.offset
        finishedBytes += size
        showProgress(0)
        if case .sealed = kind, size > end.offset {
            report.notes.append(
                "\(FileNames.segment(segment)): \(size - end.offset) bytes behind the footer "
                    + "mean nothing"
            )
        }
    }

    func segmentWent(_ segment: UInt32) {
        // What checkpoints claim can no longer be compared.
        hasGone = true
    }

    private func showProgress(_ offset: Int) {
        let done = finishedBytes + offset
        if done - reported >= 1 << 20 {
            reported = done
            progress(done, total)
        }
    }

    private func find(_ position: LogPosition, _ length: Int, _ reason: String) {
        findings.append(
            Damage(
                file: FileNames.segment(position.segment),
                offset: position.offset,
                length: length,
                reason: reason
            )
        )
    }

    // MARK: Groups and records

    private func meets(_ group: GroupRecord, at position: LogPosition) {
        report.groups += 1
        report.records += 1
        if group.durable > position {
            find(position, GroupRecord.length, "a group vouches for what comes after itself")
        }
        if let unitStart, !isSegmentDamaged, group.epoch == self.group?.epoch {
            find(
                LogPosition(segment: position.segment, offset: unitStart),
                position.offset - unitStart,
                "an atomic unit has no end in its group"
            )
        }
        unitStart = nil
        self.group = group
    }

    private func meets(
        _ header: RecordHeader,
        at position: LogPosition,
        _ bytes: RawSpan,
        _ local: Int,
        _ state: StoreState
    ) {
        report.records += 1
        if header.kind == .message {
            meetsMessage(header, at: position, bytes, local, state)
        } else if header.kind == .footer {
            meetsFooter(header, at: position, bytes, local, state)
        }
        if header.continues {
            unitStart = unitStart ?? position.offset
        } else {
            unitStart = nil
        }
    }

    private func meetsMessage(
        _ header: RecordHeader,
        at position: LogPosition,
        _ bytes: RawSpan,
        _ local: Int,
        _ state: StoreState
    ) {
        guard let record = MessageRecord(header, bytes, at: local) else { return }
        report.messages += 1
        report.entries += record.entryCount
        // Inside a unit the records before are not applied yet, and damage may have taken a name.
        // What a packed segment must hold, its posting lists say.
        guard unitStart == nil, !header.continues, !isSegmentDamaged, !isPacked else { return }
        for index in 0..<record.entryCount {
            let (id, sequence) = record.entry(index, in: bytes)
            guard let queue = state.queue(id), queue.isNamed(in: position.segment) else {
                find(position, header.length, "a message for queue \(id.value), not named before")
                continue
            }
            if sequence.value < queue.nextSequence {
                find(
                    position,
                    header.length,
                    "entry \(sequence.value) of queue \(queue.name) comes twice"
                )
            }
        }
    }

    // MARK: Footers

    /// The same lists as at sealing must come out of the records.
    private func meetsFooter(
        _ header: RecordHeader,
        at position: LogPosition,
        _ bytes: RawSpan,
        _ local: Int,
        _ state: StoreState
    ) {
        report.footers += 1
        func bad(_ reason: String) {
            find(position, header.length, "the footer does not fit the records: \(reason)")
        }
        guard let footer = SegmentFooter(header, bytes, at: local) else {
            bad("its lengths contradict each other")
            return
        }
        if bytes.uint64(at: local + header.length - 8) != UInt64(position.offset) {
            bad("it says that it begins elsewhere")
        }
        var listed: Set<QueueID> = []
        for line in footer.lines {
            guard listed.insert(line.queue).inserted else {
                bad("queue \(line.queue.value) comes twice")
                continue
            }
            guard let postings = SegmentFooter.postings(of: line, in: bytes, at: local) else {
                bad("the posting list of queue \(line.queue.value) is cut short")
                continue
            }
            if let reason = mismatch(line, postings, state) { bad(reason) }
        }
        guard !isSegmentDamaged else { return }
        for queue in state.queues.values where queue.firstUnsettled(in: segment) != nil {
            if !listed.contains(queue.id) { bad("queue \(queue.name) is not listed") }
        }
    }

    private func mismatch(
        _ line: SegmentFooter.Line,
        _ postings: Postings,
        _ state: StoreState
    ) -> String? {
        guard let queue = state.queue(line.queue), queue.isNamed(in: segment) else {
            return isSegmentDamaged ? nil : "queue \(line.queue.value) has no entries here"
        }
        // A lost record leaves a hole or a shorter list; what is there must agree.
        var compared = 0
        for (index, offset) in queue.activeOffsets.enumerated() where offset != 0 {
            let sequence = queue.activeFirst + UInt64(index)
            guard sequence >= line.first else { continue }
            compared += 1
            if postings.offset(of: sequence) != Int(offset) {
                return "entry \(sequence) of queue \(queue.name) stands at \(offset)"
            }
        }
        if isSegmentDamaged { return nil }
        if compared != line.count || queue.firstUnsettled(in: segment) != line.first {
            return "the list of queue \(queue.name) has other bounds"
        }
        return nil
    }

    // MARK: Checkpoints

    /// Compares the checkpoints whose positions the replay has reached; `state` is what came before.
    private func compareCheckpoints(upTo position: LogPosition, _ state: StoreState) {
        while comparedCount < checkpoints.count,
            checkpoints[comparedCount].header.position <= position
        {
            let checkpoint = checkpoints[comparedCount]
            comparedCount += 1
            guard !isDamaged, !hasGone else { continue }
            let comparison = VerifierComparison(
                claimed: checkpoint.state,
                found: state,
                isExact: isComplete
            )
            if let reason = comparison.contradiction() {
                findings.append(
                    Damage(
                        file: FileNames.checkpoint(checkpoint.header.number),
                        offset: 0,
                        length: 0,
                        reason: Self.misfits[0] + reason
                    )
                )
            }
        }
    }
}

extension QueueState {
    /// The first unsettled entry that stands in `segment`, if there is one.
    func firstUnsettled(in segment: UInt32) -> UInt64? {
        extents.lazy.filter { $0.segment == segment }.first?.firstUnsettled(from: 0)
    }
}
