import Base

@testable import LogStore

/// An entry by its queue's id and its sequence.
struct ContainmentKey: Hashable, Sendable {
    let queue: UInt32
    let sequence: UInt64
}

/// One thing that stands in a file of a sound store: a record, a block, a header, a checkpoint.
struct ContainmentPiece: Sendable {
    enum Content: Sendable {
        case header
        case group(durable: LogPosition)
        case message([ContainmentKey])
        case settle([SettledRun])
        case requeue(ContainmentKey)
        /// Everything in the queue may come back, or the queue itself.
        case purge(queue: UInt32)
        case name(queue: UInt32)
        case footer
        case unitEnd
        /// Messages and names of a packed block.
        case block([ContainmentKey], names: [UInt32])
        case checkpoint
    }

    let file: String
    let range: Range<Int>
    let content: Content
    let position: LogPosition
    var continues = false

    init(_ file: String, _ range: Range<Int>, _ content: Content, _ position: LogPosition) {
        self.file = file
        self.range = range
        self.content = content
        self.position = position
    }

    /// The pieces of a segment, by the scanner.
    static func ofSegment(
        _ files: ScratchFiles,
        _ path: String,
        _ number: UInt32,
        _ store: StoreID
    ) throws -> [ContainmentPiece] {
        let name = FileNames.segment(number)
        func position(_ offset: Int) -> LogPosition { LogPosition(segment: number, offset: offset) }
        var pieces = [
            ContainmentPiece(name, 0..<SegmentHeader.byteCount, .header, position(0))
        ]
        let reader = try BlockReader(files, try files.open(path, .read))
        var scanner = SegmentScanner(reader, segment: number, store: store, start: ScanStart())
        while true {
            let event = try scanner.next()
            let start = scanner.eventOffset
            switch event {
            case .group(let group):
                let range = start..<start + GroupRecord.length
                pieces.append(
                    .init(name, range, .group(durable: group.durable), position(start))
                )
            case .record(let header):
                let bytes = scanner.reader.window.span.bytes
                let content = content(header, bytes, at: scanner.windowOffset)
                var piece = ContainmentPiece(
                    name,
                    start..<start + header.length,
                    content,
                    position(start)
                )
                piece.continues = header.continues
                pieces.append(piece)
            case .damage(let range, _): fatalError("damage in a sound log at \(range)")
            case .end: return pieces
            }
        }
    }

    private static func keys(_ record: MessageRecord, _ bytes: RawSpan) -> [ContainmentKey] {
        (0..<record.entryCount).map { index in
            let (queue, sequence) = record.entry(index, in: bytes)
            return ContainmentKey(queue: queue.value, sequence: sequence.value)
        }
    }

    private static func content(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at offset: Int
    ) -> Content {
        switch header.kind {
        case .message:
            MessageRecord(header, bytes, at: offset).map { .message(keys($0, bytes)) } ?? .footer
        case .settle, .settleOfQueue:
            .settle(SettleRecord(header, bytes, at: offset)?.runs ?? [])
        case .requeue:
            .requeue(
                ContainmentKey(
                    queue: header.word,
                    sequence: RequeueRecord(header, bytes, at: offset)?.sequence ?? 0
                )
            )
        case .purge, .deleteQueue: .purge(queue: header.word)
        case .queue: .name(queue: header.word)
        case .unitEnd: .unitEnd
        case .footer, .group, .block, .index: .footer
        }
    }

    /// The pieces of a packed segment, by its index.
    static func ofPacked(
        _ files: ScratchFiles,
        _ path: String,
        _ file: SegmentFile,
        _ store: StoreID
    ) throws -> [ContainmentPiece] {
        guard
            var reader = try PackedReader(
                files,
                try files.open(path, .read),
                file,
                store: store
            )
        else { fatalError("a sound packed segment cannot be read") }
        let start = LogPosition(segment: file.segment, offset: 0)
        var pieces = [
            ContainmentPiece(file.name, 0..<PackedHeader.byteCount, .header, start)
        ]
        for block in reader.index.lines.indices {
            guard try reader.loadBlock(block) else { fatalError("a sound block cannot be read") }
            var entries: [ContainmentKey] = []
            var names: [UInt32] = []
            for place in reader.places {
                guard let header = reader.record(at: place) else { fatalError("a bad record") }
                let bytes = reader.plain.span.bytes
                if let record = MessageRecord(header, bytes, at: place.local) {
                    entries += keys(record, bytes)
                } else if header.kind == .queue {
                    names.append(header.word)
                }
            }
            let range = reader.fileRange(ofBlock: block)
            pieces.append(.init(file.name, range, .block(entries, names: names), start))
        }
        let rest = reader.index.footerOffset..<reader.fileBytes
        return pieces + [.init(file.name, rest, .footer, start)]
    }
}
