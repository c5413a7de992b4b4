import Base

/// Entries that damage took and that nothing in the damaged file tells of: the state that the next start
/// begins with knows them.
extension Verifier {
    /// Entries that are read in one go.
    private static var readMax: Int { 512 }

    /// Looks in every segment that has damage for the entries that are unsettled in `state`, as a reader
    /// would, and names those that are not there and not named yet.
    func nameLost(_ report: inout VerifierReport, _ state: StoreState) {
        let segments = Set(report.damage.compactMap { Self.segment(of: $0.file) })
        if segments.isEmpty { return }
        var named = Self.named(report.damage)
        let worker = StoreWorker(opened.files, directory: opened.directory, store: opened.store)
        for segment in segments.sorted() {
            guard let info = state.segments[segment] else { continue }
            for queue in state.queues.values {
                for extent in queue.extents(in: segment) {
                    var found = Self.lost(of: queue, extent, info, worker, opened.store)
                    for index in found.indices {
                        found[index].queue = queue.name
                        found[index].entries = LostReport.ranges(
                            Self.sequences(found[index]).filter { sequence in
                                named.insert(NamedEntry(queue: queue.name, sequence: sequence))
                                    .inserted
                            }
                        )
                    }
                    report.damage += Damage.merged(found.filter { !$0.entries.isEmpty })
                }
            }
        }
        // Where the log is damaged, that a checkpoint has more than it speaks for the checkpoint.
        report.damage.removeAll { damage in
            VerifierPass.misfits.contains { damage.reason.hasPrefix($0) }
        }
    }

    private static func lost(
        of queue: QueueState,
        _ extent: Extent,
        _ info: SegmentInfo,
        _ worker: StoreWorker<Files>,
        _ store: StoreID
    ) -> [Damage] {
        var damage: [Damage] = []
        var next = extent.firstUnsettled(from: 0)
        while let first = next {
            var sequences: [UInt64] = []
            var sequence = next
            while let current = sequence, sequences.count < readMax {
                sequences.append(current)
                sequence = extent.firstUnsettled(from: current + 1)
            }
            var job = ReadJob(
                queue: queue.id,
                file: info.file,
                seed: store.seed(ofSegment: info.number),
                sequences: sequences,
                postings: nil,
                footerOffset: info.footerOffset,
                length: info.length,
                bytesMax: 8 << 20
            )
            job.triesLeft = 0
            let result = worker.read(job)
            damage += result.damage.map { item in
                guard result.isMissing else { return item }
                return Damage(
                    file: item.file,
                    offset: 0,
                    length: 0,
                    entries: item.entries,
                    reason: "the file is missing"
                )
            }
            next = extent.firstUnsettled(from: max(result.next.value, first + 1))
        }
        return damage
    }

    private static func segment(of file: String) -> UInt32? {
        switch FileNames.kind(of: file) {
        case .segment(let number): number
        case .packed(let file): file.segment
        case .checkpoint, .temporary, .quarantine, .lock, .reserve, .unknown: nil
        }
    }

    private static func named(_ damage: [Damage]) -> Set<NamedEntry> {
        var named: Set<NamedEntry> = []
        for item in damage {
            guard let queue = item.queue else { continue }
            for sequence in sequences(item) {
                named.insert(NamedEntry(queue: queue, sequence: sequence))
            }
        }
        return named
    }

    private static func sequences(_ damage: Damage) -> [UInt64] {
        damage.entries.flatMap { Array($0.first..<$0.end) }
    }
}

private struct NamedEntry: Hashable {
    let queue: String
    let sequence: UInt64
}
