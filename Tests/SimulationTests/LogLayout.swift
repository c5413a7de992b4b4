import Base
import TestSupport

@testable import LogStore

/// Where the records of a sound log stand, so that a test knows what damage hits.
struct LogLayout {
    /// One record, or a segment's header.
    struct Piece {
        enum Content {
            case segmentHeader
            case group(durable: LogPosition)
            case message([SettleKey])
            /// Settles, requeues, purges, deletes: entries of the queues may come back without it.
            case change(queues: [UInt32])
            case name(queue: UInt32)
            case footer
            case unitEnd
        }

        let segment: UInt32
        let range: Range<Int>
        let content: Content
        let continues: Bool

        var position: LogPosition { LogPosition(segment: segment, offset: range.lowerBound) }
        var file: String { FileNames.segment(segment) }
    }

    private(set) var pieces: [Piece] = []

    /// Reads all segments of a store in which nothing is damaged.
    init(_ files: SimulatedFileSystem, directory: String, store: StoreID) throws {
        for name in try files.list(directory).sorted() {
            guard case .segment(let number) = FileNames.kind(of: name) else { continue }
            let file = try files.open(directory + "/" + name, .read)
            defer { files.close(file) }
            try read(try BlockReader(files, file), number, store)
        }
    }

    private mutating func read(
        _ reader: BlockReader<SimulatedFileSystem>,
        _ segment: UInt32,
        _ store: StoreID
    ) throws {
        pieces.append(
            Piece(
                segment: segment,
                range: 0..<SegmentHeader.byteCount,
                content: .segmentHeader,
                continues: false
            )
        )
        var scanner = SegmentScanner(reader, segment: segment, store: store, start: ScanStart())
        while true {
            let event = try scanner.next()
            let start = scanner.eventOffset
            switch event {
            case .group(let group):
                add(segment, start, GroupRecord.length, .group(durable: group.durable))
            case .record(let header):
                let bytes = scanner.reader.window.span.bytes
                let content = Self.content(header, bytes, at: scanner.windowOffset)
                add(segment, start, header.length, content, continues: header.continues)
            case .damage(let range, _):
                throw SimulationFailure(text: "a sound log has damage at \(segment):\(range)")
            case .end:
                return
            }
        }
    }

    private mutating func add(
        _ segment: UInt32,
        _ start: Int,
        _ length: Int,
        _ content: Piece.Content,
        continues: Bool = false
    ) {
        pieces.append(
            Piece(
                segment: segment,
                range: start..<start + length,
                content: content,
                continues: continues
            )
        )
    }

    private static func content(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at offset: Int
    ) -> Piece.Content {
        switch header.kind {
        case .message:
            guard let record = MessageRecord(header, bytes, at: offset) else { return .footer }
            return .message(
                (0..<record.entryCount).map { index in
                    let (queue, sequence) = record.entry(index, in: bytes)
                    return SettleKey(queue: queue.value, sequence: sequence.value)
                }
            )
        case .settle, .settleOfQueue:
            let runs = SettleRecord(header, bytes, at: offset)?.runs ?? []
            return .change(queues: runs.map(\.queue.value))
        case .requeue, .purge, .deleteQueue: return .change(queues: [header.word])
        case .queue: return .name(queue: header.word)
        case .unitEnd: return .unitEnd
        case .footer, .group, .block, .index: return .footer
        }
    }

    func pieces(of segment: UInt32) -> [Piece] { pieces.filter { $0.segment == segment } }

    /// Where the records of a segment end; 0 if there is no such segment.
    func end(of segment: UInt32) -> Int {
        pieces.last { $0.segment == segment }?.range.upperBound ?? 0
    }

    /// The last position that a group without the given pieces vouches for.
    func vouched(without hit: Set<Int>) -> LogPosition {
        var position = LogPosition(value: 0)
        for (index, piece) in pieces.enumerated() where !hit.contains(index) {
            if case .group(let durable) = piece.content { position = max(position, durable) }
        }
        return position
    }

    /// The pieces that a cut at the given one takes away: its atomic unit and all that follows.
    func cut(at index: Int) -> Range<Int> {
        var first = index
        while first > 0, pieces[first - 1].continues || isGroup(first - 1) { first -= 1 }
        return first..<pieces.count
    }

    private func isGroup(_ index: Int) -> Bool {
        if case .group = pieces[index].content { true } else { false }
    }
}
