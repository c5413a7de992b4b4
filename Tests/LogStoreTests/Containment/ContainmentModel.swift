import Base

@testable import LogStore

/// Says what may be missing after given bytes were hit, and judges what was found by it.
///
/// The rules of `docs/format.md`, "What a reader does with bytes that are not right": damage costs what
/// it hit. Only where nothing vouches for the end of the log, the last write is given up as a whole.
struct ContainmentModel {
    private let log: ContainmentLog
    /// Hit bytes by file; a file that is missing altogether is not in it.
    private let hit: [String: [Range<Int>]]
    /// Files that are not there any more.
    private let gone: Set<String>
    private var hitPieces: [ContainmentPiece] = []

    private var mayMiss: Set<ContainmentKey> = []
    private var mayReturn: Set<ContainmentKey> = []
    private var mayReturnQueues: Set<UInt32> = []
    private var mayForget: Set<UInt32> = []
    private var mayDiffer: Set<ContainmentKey> = []
    /// Entries that may be missing without a word: the last write, for which nothing vouches, and the
    /// last of a queue whose head was hit, for which there is no witness.
    private var needsNoName: Set<ContainmentKey> = []
    private var isTornAllowed = false

    init(_ log: ContainmentLog, hit: [String: [Range<Int>]], gone: Set<String>) {
        self.log = log
        self.hit = hit
        self.gone = gone
        hitPieces = log.pieces.filter { piece in
            hit[piece.file]?.contains { $0.overlaps(piece.range) } ?? false
        }
        judgeHits()
    }

    /// Hits something that a sound store needs and that nothing else can be taken for.
    var hitsVouchedPiece: Bool {
        hitPieces.contains { piece in
            // Checkpoints are caches, and without any a log may have been longer.
            if gone.contains(piece.file), log.checkpoint == nil { return false }
            if case .checkpoint = piece.content { return !gone.contains(piece.file) }
            return piece.position < vouched || isPacked(piece)
        }
    }

    private func isPacked(_ piece: ContainmentPiece) -> Bool { piece.file.hasSuffix(".pak") }

    /// Everything before it is known to have been durable, by what was not hit.
    private var vouched: LogPosition {
        var position = LogPosition(segment: log.lastSegment, offset: 0)
        if let checkpoint = log.checkpoint, hit[checkpoint.file] == nil {
            position = max(position, checkpoint.position)
        }
        let hitPositions = Set(hitPieces.map(\.position))
        for piece in log.pieces where !hitPositions.contains(piece.position) {
            if case .group(let durable) = piece.content { position = max(position, durable) }
        }
        return position
    }

    private func isReplayed(_ piece: ContainmentPiece) -> Bool {
        guard let checkpoint = log.checkpoint else { return true }
        return hit[checkpoint.file] != nil || piece.position >= checkpoint.position
    }

    private mutating func judgeHits() {
        let vouched = vouched
        for piece in hitPieces {
            allow(piece)
            guard !isPacked(piece), piece.position >= vouched, piece.range.lowerBound > 0 else {
                continue
            }
            // The cut takes the whole unit or group, and what follows.
            isTornAllowed = true
            let all = log.pieces.filter { !isPacked($0) }
            guard let index = all.firstIndex(where: { $0.position == piece.position }) else {
                continue
            }
            var first = index
            while first > 0, all[first - 1].continues || isGroup(all[first - 1]) { first -= 1 }
            for lost in all[first...] {
                allow(lost)
                if case .message(let keys) = lost.content { needsNoName.formUnion(keys) }
            }
        }
    }

    private func isGroup(_ piece: ContainmentPiece) -> Bool {
        if case .group = piece.content { true } else { false }
    }

    private mutating func allow(_ piece: ContainmentPiece) {
        switch piece.content {
        case .message(let keys):
            mayMiss.formUnion(keys)
            if gone.contains(piece.file), log.checkpoint == nil { needsNoName.formUnion(keys) }
            if isReplayed(piece), !hasFooter(piece), headsAreHit(piece.file) {
                needsNoName.formUnion(keys.filter { !hasNeighbours($0, piece) })
            }
        case .block(let keys, let names):
            mayMiss.formUnion(keys)
            guard log.checkpoint == nil else { return }
            mayForget.formUnion(names)
            // Then the posting lists are the only witness.
            if listsAreHit(piece.file) { needsNoName.formUnion(keys) }
        case .settle(let runs):
            guard isReplayed(piece) else { return }
            for run in runs {
                for sequence in run.first..<run.first + UInt64(run.count) {
                    mayReturn.insert(ContainmentKey(queue: run.queue.value, sequence: sequence))
                }
            }
        case .requeue(let key): if isReplayed(piece) { mayDiffer.insert(key) }
        case .purge(let queue): if isReplayed(piece) { mayReturnQueues.insert(queue) }
        case .name(let queue): if isReplayed(piece) { mayForget.insert(queue) }
        case .header, .group, .footer, .unitEnd, .checkpoint: break
        }
    }

    private func listsAreHit(_ file: String) -> Bool {
        hitPieces.contains { piece in
            if case .footer = piece.content { piece.file == file } else { false }
        }
    }

    /// Whether a sound footer tells what stood in the piece's segment.
    private func hasFooter(_ piece: ContainmentPiece) -> Bool {
        log.pieces.contains { other in
            guard case .footer = other.content, other.file == piece.file else { return false }
            return !isHit(other)
        }
    }

    private func isHit(_ piece: ContainmentPiece) -> Bool {
        hit[piece.file]?.contains { $0.overlaps(piece.range) } ?? false
    }

    /// Whether the bytes that name entries, or lead to the next record's, are hit.
    private func headsAreHit(_ file: String) -> Bool {
        hitPieces.contains { piece in
            guard piece.file == file else { return false }
            var length = RecordHeader.byteCount
            if case .message(let keys) = piece.content {
                length = MessageRecord.fixedByteCount + 12 * keys.count
            }
            let start = piece.range.lowerBound
            return hit[file]?.contains { $0.overlaps(start..<start + length) } ?? false
        }
    }

    /// Whether sound records before and behind an entry's own tell that it was there: not where segments
    /// in between hold only what was unsettled once, or are gone.
    private func hasNeighbours(_ key: ContainmentKey, _ piece: ContainmentPiece) -> Bool {
        let behind = log.pieces.filter { other in
            guard case .message(let keys) = other.content, !isHit(other) else { return false }
            return keys.contains { $0.queue == key.queue && $0.sequence > key.sequence }
        }
        guard let next = behind.map(\.position).min() else { return false }
        let isMetBefore = log.pieces.contains { other in
            guard other.position < piece.position, !isHit(other) else { return false }
            switch other.content {
            case .message(let keys):
                return keys.contains { $0.queue == key.queue }
            case .name(let queue): return queue == key.queue
            default: return false
            }
        }
        let between = (piece.position.segment...next.segment).allSatisfy { number in
            let name = FileNames.segment(number)
            return log.names.contains(name) && !gone.contains(name)
        }
        return log.checkpoint != nil || isMetBefore && between
    }

    // MARK: Judging

    /// What is wrong with what was found; nil: it is no more than the hit explains.
    func problem(_ found: ContainmentState) -> String? {
        if let text = found.nonsense.first { return text }
        let expected = log.expected
        for id in Set(expected.queues.keys).union(found.queues.keys).sorted() {
            switch (expected.queues[id], found.queues[id]) {
            case (let here?, let there?):
                if let text = difference(id, here, there, found) { return text }
            case (.some, nil):
                if !mayForget.contains(id) { return "queue \(id) is missing" }
            case (nil, .some):
                if !mayReturnQueues.contains(id) { return "queue \(id) should not be there" }
            case (nil, nil): break
            }
        }
        return falseAlarm(found)
    }

    private func difference(
        _ id: UInt32,
        _ here: ContainmentState.Queue,
        _ there: ContainmentState.Queue,
        _ found: ContainmentState
    ) -> String? {
        if here.name != there.name, !mayForget.contains(id) {
            return "queue \(id) is called \(there.name), not \(here.name)"
        }
        if here.next < there.next { return "queue \(id) goes on at \(there.next)" }
        for sequence in there.next..<max(here.next, there.next)
        where !mayMiss.contains(ContainmentKey(queue: id, sequence: sequence)) {
            return "queue \(id) goes on at \(there.next), not \(here.next)"
        }
        for (sequence, entry) in here.entries.sorted(by: { $0.key < $1.key }) {
            let key = ContainmentKey(queue: id, sequence: sequence)
            guard let other = there.entries[sequence] else {
                if !mayMiss.contains(key) { return "queue \(id): entry \(sequence) is lost" }
                if let text = unnamed(key, here.name, there.name, found) { return text }
                continue
            }
            if other.bytes != entry.bytes { return "queue \(id): entry \(sequence) is another" }
            if other.deliveryCount != entry.deliveryCount, !mayDiffer.contains(key) {
                return "queue \(id): entry \(sequence) has another delivery count"
            }
        }
        for sequence in there.entries.keys.sorted() where here.entries[sequence] == nil {
            let key = ContainmentKey(queue: id, sequence: sequence)
            if !mayReturn.contains(key), !mayReturnQueues.contains(id) {
                return "queue \(id): entry \(sequence) came back"
            }
        }
        return nil
    }

    /// What is missing is named with a file that was hit, a place there, and its queue.
    private func unnamed(
        _ key: ContainmentKey,
        _ name: String,
        _ nameNow: String,
        _ found: ContainmentState
    ) -> String? {
        if needsNoName.contains(key) { return nil }
        let names = [name, nameNow, "with id \(key.queue)"]
        let isNamed = found.damage.contains { item in
            guard let queue = item.queue, names.contains(queue), hit[item.file] != nil,
                item.entries.contains(where: { $0.first <= key.sequence && key.sequence < $0.end })
            else { return false }
            let bytes = item.offset..<item.offset + item.length
            return bytes.isEmpty
                || hitPieces.contains { $0.file == item.file && $0.range.overlaps(bytes) }
        }
        return isNamed
            ? nil
            : "queue \(key.queue): entry \(key.sequence) is lost without a word: \(found.damage)"
    }

    /// Damage is told of files that were hit, and every hit that the start reads is told.
    private func falseAlarm(_ found: ContainmentState) -> String? {
        for item in found.damage where hit[item.file] == nil {
            return "\(item) was not hit"
        }
        if hitPieces.isEmpty, let item = found.damage.first {
            return "nothing was hit, but \(item)"
        }
        if found.report.tornBytes > 0, !isTornAllowed { return "a torn tail where none can be" }
        return nil
    }
}
