import Base

// Packing one segment, in steps:
// 1. Walk through the segment, or its packed form, and keep the messages that have an unsettled entry,
//    with the names of their queues. Every record's checksum is checked on the way: a segment in which
//    anything is damaged is left as it is.
// 2. Write them in their order into blocks, then the posting lists and the index.
// 3. Sync; only then the file gets its name, and the name is synced. A crash before leaves a temporary
//    file, a crash after it a second form of the segment, of which either serves.

/// Writes the packed form of a segment.
struct Packer<Files: FileSystem> {
    private let files: Files
    private let directory: String
    private let store: StoreID
    private let litter: Litter<Files>
    private let job: PackJob
    private let seed: UInt32

    private var output: Files.File?
    private var offset = PackedHeader.byteCount
    private var plain: [UInt8] = []
    private var blockFirst: UInt32 = 0
    private var blockLast: UInt32 = 0
    private var plainBytes = 0
    private var index = PackedIndex()
    private var postings: [QueueID: (first: UInt64, offsets: [UInt32], bytes: UInt64)] = [:]
    private var messages = 0

    init(
        _ files: Files,
        directory: String,
        store: StoreID,
        litter: Litter<Files>,
        _ job: PackJob
    ) {
        self.files = files
        self.litter = litter
        self.directory = directory
        self.store = store
        self.job = job
        seed = store.seed(ofSegment: job.source.segment)
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    /// Packs the segment; nothing is left of a file that was not finished.
    mutating func run() throws(FileError) -> PackOutcome {
        let temporary = path(FileNames.temporary(job.target.name))
        var named: String?
        do throws(FileError) {
            let outcome = try write(temporary)
            if let output { files.close(output) }
            output = nil
            guard case .packed = outcome else {
                litter.drop(temporary)
                return outcome
            }
            try files.rename(temporary, to: path(job.target.name))
            named = path(job.target.name)
            try files.syncDirectory(directory)
            return outcome
        } catch {
            if let output { files.close(output) }
            output = nil
            litter.drop(named ?? temporary)
            throw error
        }
    }

    private mutating func write(_ temporary: String) throws(FileError) -> PackOutcome {
        let source = try files.open(path(job.source.name), .read)
        defer { files.close(source) }
        let output = try files.open(temporary, .create)
        self.output = output
        let outcome: PackOutcome? =
            job.source.isPacked ? try copyPacked(source) : try copySealed(source)
        if let outcome { return outcome }
        if !plain.isEmpty { try closeBlock() }
        try writeFooter()
        try append(index.encode(at: offset, seed: seed))
        let header = PackedHeader(
            store: store,
            file: job.target,
            originalLength: job.originalLength
        )
        let bytes = [UInt8].encoded(count: PackedHeader.byteCount) { header.encode(into: &$0) }
        try files.write(output, at: 0, bytes.span.bytes)
        try files.syncData(output)
        return .packed(fileBytes: offset, messages: messages)
    }

    // MARK: Reading

    /// The outcome if there is nothing to go on with.
    private mutating func copySealed(_ source: Files.File) throws(FileError) -> PackOutcome? {
        let reader = try BlockReader(files, source)
        var start = ScanStart()
        start.durable = LogPosition(segment: job.source.segment, offset: job.originalLength)
        var scanner = SegmentScanner(
            reader,
            segment: job.source.segment,
            store: store,
            start: start
        )
        while true {
            switch try scanner.next() {
            case .group: break
            case .record(let header):
                let bytes = scanner.reader.window.span.bytes
                try take(header, bytes, at: scanner.windowOffset, offset: scanner.eventOffset)
                if isNotWorthIt { return .notWorthIt }
            case .damage: return .damaged
            case .end(.sealed): return nil
            case .end: return .damaged
            }
        }
    }

    private mutating func copyPacked(_ source: Files.File) throws(FileError) -> PackOutcome? {
        guard var reader = try PackedReader(files, source, job.source, store: store) else {
            return .damaged
        }
        // What is gone from it is to be found where it was.
        if !reader.faults.isEmpty { return .damaged }
        for block in reader.index.lines.indices {
            guard try reader.loadBlock(block) else { return .damaged }
            for place in reader.places {
                guard let header = reader.record(at: place) else { return .damaged }
                let bytes = reader.plain.span.bytes
                try take(header, bytes, at: place.local, offset: place.offset)
            }
        }
        return nil
    }

    /// Whether so far the blocks are hardly smaller than what they hold, where that is all there is to
    /// gain.
    private var isNotWorthIt: Bool {
        job.needsCompression && plainBytes >= 8 * job.blockBytes
            && offset > plainBytes / 5 * 4
    }

    private mutating func take(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        offset: Int
    ) throws(FileError) {
        if let record = QueueRecord(header, bytes, at: local) {
            if job.live[record.queue] != nil { try keep(header, bytes, at: local, offset: offset) }
            return
        }
        guard let record = MessageRecord(header, bytes, at: local) else { return }
        var isLive = false
        for index in 0..<record.entryCount {
            let (queue, sequence) = record.entry(index, in: bytes)
            guard job.isLive(queue, sequence.value) else { continue }
            isLive = true
            list(queue, sequence.value, offset: UInt32(offset), bytes: record.messageBytes)
        }
        if isLive {
            messages += 1
            try keep(header, bytes, at: local, offset: offset)
        }
    }

    private mutating func list(_ queue: QueueID, _ sequence: UInt64, offset: UInt32, bytes: Int) {
        var list = postings.removeValue(forKey: queue) ?? (sequence, [], 0)
        guard sequence >= list.first + UInt64(list.offsets.count) else { return }
        let gap = Int(sequence - list.first) - list.offsets.count
        list.offsets.append(contentsOf: repeatElement(0, count: gap))
        list.offsets.append(offset)
        list.bytes += UInt64(bytes)
        postings[queue] = list
    }

    // MARK: Writing

    private mutating func keep(
        _ header: RecordHeader,
        _ bytes: RawSpan,
        at local: Int,
        offset: Int
    ) throws(FileError) {
        if !plain.isEmpty, plain.count + header.length > job.blockBytes {
            try closeBlock()
        }
        if plain.isEmpty { blockFirst = UInt32(offset) }
        blockLast = UInt32(offset)
        for shift in 0..<UInt64(PackedBlock.placeByteCount) {
            plain.append(UInt8(truncatingIfNeeded: UInt64(offset) >> (shift * 8)))
        }
        plain.append(bytes.extracting(local..<local + header.length))
    }

    private mutating func closeBlock() throws(FileError) {
        index.lines.append(.init(fileOffset: offset, first: blockFirst, last: blockLast))
        try append(PackedBlock.encode(plain, codec: job.codec, at: offset, seed: seed))
        plainBytes += plain.count
        plain.removeAll(keepingCapacity: true)
    }

    private mutating func writeFooter() throws(FileError) {
        let sources = postings.keys.sorted().compactMap { queue in
            postings[queue].map { list in
                SegmentFooter.Source(
                    queue: queue,
                    first: list.first,
                    bytes: list.bytes,
                    offsets: list.offsets[...]
                )
            }
        }
        index.footerOffset = offset
        let footer = SegmentFooter.encode(
            sources,
            at: offset,
            seed: Checksum.seed(seed, at: offset)
        )
        try append(PackedBlock.encode(footer, codec: job.codec, at: offset, seed: seed))
    }

    private mutating func append(_ bytes: [UInt8]) throws(FileError) {
        guard let output else { return }
        try files.write(output, at: offset, bytes.span.bytes)
        offset += bytes.count
    }
}
