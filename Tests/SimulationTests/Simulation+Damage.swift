import Base
import TestSupport

@testable import LogStore

/// Damage to what was durable: it costs the records that it hit, and nothing else.
extension Simulation {
    /// What damage touched, and what may follow from that.
    struct Hit {
        var file = ""
        /// The bytes that are other than they were.
        var bytes: [Int] = []
        var pieces: Set<Int> = []
        var isCheckpoint = false
        var isPacked = false
        /// Whether readers are served from the file.
        var isServing = false
        var mayMiss: Set<SettleKey> = []
        /// Queues of which settled entries may come back.
        var mayReturn: Set<UInt32> = []
        /// Queues whose name, or existence, may be forgotten.
        var mayForget: Set<UInt32> = []
        /// Where the log may end, if the hit can be taken for the torn tail of the last write, or for
        /// the end before it.
        var mayEndAt: LogPosition?
    }

    /// Plays some lives, damages what they left, and opens that twice.
    func runWithDamage() throws {
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            try live()
            try die()
        }
        for _ in 0..<Int.random(in: 5...80, using: &random) { try turn() }
        try stopForDamage()
        let layout = try LogLayout(files, directory: Self.directory, store: store.id)
        let checkpoints = try checkpointPositions()
        let forms = try packedForms()
        let hit: Hit
        if let form = forms.randomElement(using: &random), let newest = checkpoints.last,
            !random.oneIn(3)
        {
            hit = try harmPacked(form, newest.file)
            counts[.damagedPacked] += 1
        } else {
            hit = try harm(layout, checkpoints)
            counts[hit.isCheckpoint ? .damagedCheckpoints : .damagedSegments] += 1
        }
        note("\(hit.bytes.count) bytes of \(hit.file) from \(hit.bytes.first ?? 0) are damaged")
        let found = try openDamaged(hit, layout, checkpoints)
        history.restart(at: found)
        try stopForDamage()
        damage.removeAll()
        try takeOver(try Self.open(files, options, wall, &random))
        let again = try readEverything()
        if let problem = found.difference(to: again, optional: []) {
            throw SimulationFailure(text: "opened again after damage: \(problem)")
        }
    }

    /// Ends the process with everything written: in order, or killed before its next checkpoint.
    private func stopForDamage() throws {
        store.hasten()
        endTurn()
        try drain()
        if random.oneIn(3) {
            store.requestCheckpoint()
            endTurn()
            try drain()
        }
        guard failure == nil else { throw SimulationFailure(text: "the store has ended") }
        files.kill()
    }

    /// The checkpoints and their positions, oldest first.
    private func checkpointPositions() throws -> [(file: String, position: LogPosition)] {
        try files.list(Self.directory).sorted().compactMap { name in
            guard case .checkpoint = FileNames.kind(of: name) else { return nil }
            let bytes = try files.contents(Self.directory + "/" + name)
            return (name, try CheckpointFormat.decodeHeader(bytes.span.bytes).position)
        }
    }

    // MARK: - Harming

    private func harm(
        _ layout: LogLayout,
        _ checkpoints: [(file: String, position: LogPosition)]
    ) throws -> Hit {
        var hit = Hit()
        let segments = Set(layout.pieces.map(\.segment)).sorted()
        let segment = segments.randomElement(using: &random) ?? 0
        hit.isCheckpoint = !checkpoints.isEmpty && random.oneIn(6)
        hit.file =
            hit.isCheckpoint
            ? checkpoints.randomElement(using: &random)?.file ?? ""
            : FileNames.segment(segment)
        let path = Self.directory + "/" + hit.file
        let before = try files.contents(path)
        let end = hit.isCheckpoint ? before.count : layout.end(of: segment)
        try change(path, end: end, hit.isCheckpoint ? [] : layout.pieces(of: segment))
        let after = try files.contents(path)
        hit.bytes = before.indices.filter { before[$0] != after[$0] }
        if let newest = checkpoints.last, !hit.isCheckpoint, segment < newest.position.segment {
            hit.isServing = try servingForm(of: segment, newest.file)?.isPacked == false
        } else {
            hit.isServing = true
        }
        if !hit.isCheckpoint { judge(&hit, layout, segment, checkpoints.last?.position) }
        return hit
    }

    /// Flips bits, zeros a sector, or exchanges two.
    ///
    /// No whole record is brought to another place: its checksum does not say where it belongs.
    func change(_ path: String, end: Int, _ pieces: [LogLayout.Piece]) throws {
        let sectors = (end + sectorSizeBytes - 1) / sectorSizeBytes
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            try files.zeroSector(path, .random(in: 0..<sectors, using: &random))
        case 1 where sectors > 1:
            let first = Int.random(in: 0..<sectors, using: &random)
            let second = Int.random(in: 0..<sectors, using: &random)
            let size = sectorSizeBytes
            let movesRecord = pieces.contains { piece in
                [first, second].contains { sector in
                    (sector * size..<(sector + 1) * size).contains(piece.range)
                }
            }
            if movesRecord {
                try files.zeroSector(path, first)
                try files.zeroSector(path, second)
            } else {
                try files.swapSectors(path, first, second)
            }
        default:
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let offset = Int.random(in: 0..<end, using: &random)
                try files.flipBit(path, at: offset, bit: .random(in: 0..<8, using: &random))
            }
        }
    }

    /// Says what may be missing after the hit, and what may come back.
    private func judge(
        _ hit: inout Hit,
        _ layout: LogLayout,
        _ segment: UInt32,
        _ checkpoint: LogPosition?
    ) {
        for (index, piece) in layout.pieces.enumerated() where piece.segment == segment {
            if hit.bytes.contains(where: piece.range.contains) { hit.pieces.insert(index) }
        }
        let vouched = max(
            layout.vouched(without: hit.pieces),
            checkpoint ?? LogPosition(value: 0)
        )
        for index in hit.pieces.sorted() {
            let piece = layout.pieces[index]
            allow(piece, &hit, checkpoint)
            guard piece.position >= vouched, piece.range.lowerBound > 0 else { continue }
            let cut = layout.cut(at: index)
            if hit.mayEndAt == nil { hit.mayEndAt = layout.pieces[cut.lowerBound].position }
            for lost in cut { allow(layout.pieces[lost], &hit, checkpoint) }
        }
    }

    private func allow(_ piece: LogLayout.Piece, _ hit: inout Hit, _ checkpoint: LogPosition?) {
        let isReplayed = checkpoint.map { piece.position >= $0 } ?? true
        switch piece.content {
        case .message(let entries):
            // Where a packed form serves, nobody misses what is in the segment.
            if isReplayed || hit.isServing { hit.mayMiss.formUnion(entries) }
        case .change(let queues): if isReplayed { hit.mayReturn.formUnion(queues) }
        case .name(let queue): if isReplayed { hit.mayForget.insert(queue) }
        case .segmentHeader, .group, .footer, .unitEnd: break
        }
    }

    // MARK: - Judging

    private func openDamaged(
        _ hit: Hit,
        _ layout: LogLayout,
        _ checkpoints: [(file: String, position: LogPosition)]
    ) throws -> ModelState {
        let opened: Recovery<Files>.Opened
        do {
            opened = try Self.open(files, options, wall, &random)
        } catch {
            throw SimulationFailure(text: "damage to \(hit.file) prevents the opening: \(error)")
        }
        try takeOver(opened)
        counts[.damages] += 1
        let report = opened.report
        damage.removeAll()
        let found = try readEverything()
        if let problem = difference(to: found, hit) {
            throw SimulationFailure(
                text: "after damage to bytes \(hit.bytes.first ?? 0)...\(hit.bytes.last ?? 0) of "
                    + "\(hit.file): \(problem); \(report); read: \(damage)"
            )
        }
        if hit.isPacked {
            try checkPackedReport(report, hit, found)
        } else {
            try checkReport(report, hit, layout, checkpoints)
        }
        return found
    }

    private func takeOver(_ opened: Recovery<Files>.Opened) throws {
        toleratesDamage = true
        try begin(opened)
    }

    /// What is wrong with the state that was found, if more than the hit explains.
    private func difference(to found: ModelState, _ hit: Hit) -> String? {
        let expected = history.current
        for id in Set(expected.queues.keys).union(found.queues.keys).sorted() {
            let (here, there) = (expected.queues[id], found.queues[id])
            if let here, let there {
                if let text = difference(id, here, there, hit) { return text }
            } else if there == nil {
                if !hit.mayForget.contains(id) { return "queue \(id) is missing" }
            } else if !hit.mayReturn.contains(id) {
                return "queue \(id) should not be there"
            }
        }
        return nil
    }

    private func difference(
        _ id: UInt32,
        _ here: ModelQueue,
        _ there: ModelQueue,
        _ hit: Hit
    ) -> String? {
        if here.name != there.name, !hit.mayForget.contains(id) {
            return "queue \(id) is called \(there.name), not \(here.name)"
        }
        if here.next < there.next { return "queue \(id) goes on at \(there.next)" }
        for sequence in there.next..<here.next
        where !hit.mayMiss.contains(SettleKey(queue: id, sequence: sequence)) {
            return "queue \(id) goes on at \(there.next), not \(here.next)"
        }
        for entry in here.entries {
            guard let index = there.index(of: entry.sequence) else {
                if hit.mayMiss.contains(SettleKey(queue: id, sequence: entry.sequence)) { continue }
                return "queue \(id): entry \(entry.sequence) is lost"
            }
            if there.entries[index] != entry, !hit.mayReturn.contains(id) {
                return "queue \(id): entry \(entry.sequence) has another delivery count"
            }
        }
        for entry in there.entries where here.index(of: entry.sequence) == nil {
            if !hit.mayReturn.contains(id) {
                return "queue \(id): entry \(entry.sequence) came back"
            }
        }
        return nil
    }

    /// The report must name what was hit, where the opening looks, and nothing else.
    private func checkReport(
        _ report: RecoveryReport,
        _ hit: Hit,
        _ layout: LogLayout,
        _ checkpoints: [(file: String, position: LogPosition)]
    ) throws {
        if hit.isCheckpoint {
            let isUsed = hit.bytes.isEmpty || hit.file != checkpoints.last?.file
            guard isUsed || report.unusedCheckpoints.contains(where: { $0.hasPrefix(hit.file) })
            else { throw SimulationFailure(text: "\(hit.file) is hit, but: \(report)") }
            guard report.damage.isEmpty, report.tornBytes == 0, damage.isEmpty else {
                throw SimulationFailure(text: "only \(hit.file) is hit, but: \(report), \(damage)")
            }
            return
        }
        let firstRead = checkpoints.last?.position.segment ?? 0
        for index in hit.pieces.sorted() where layout.pieces[index].segment >= firstRead {
            let piece = layout.pieces[index]
            let bytes = hit.bytes.filter(piece.range.contains)
            let isCovered = bytes.allSatisfy { byte in
                report.damage.contains { known in
                    known.file == hit.file
                        && (known.offset..<known.offset + known.length).contains(byte)
                }
            }
            let isAtEnd = hit.mayEndAt.map { piece.position >= $0 } ?? false
            // Nothing vouches for a header before the first group that counts.
            let isEmpty =
                piece.range.lowerBound == 0
                && (layout.end(of: piece.segment) == SegmentHeader.byteCount
                    || hit.mayEndAt?.segment == piece.segment)
            guard isCovered || isAtEnd || isEmpty else {
                throw SimulationFailure(
                    text:
                        "\(piece) of \(hit.file) is hit at \(bytes[0])...\(bytes[bytes.count - 1]), but: \(report)"
                )
            }
        }
        for known in report.damage + damage where known.file != hit.file {
            throw SimulationFailure(text: "\(hit.file) is hit, but not \(known)")
        }
        guard !hit.pieces.isEmpty || (report.damage.isEmpty && damage.isEmpty) else {
            throw SimulationFailure(text: "nothing is hit, but: \(report), \(damage)")
        }
    }
}
