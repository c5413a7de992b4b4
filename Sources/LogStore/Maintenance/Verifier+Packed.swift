import Base

/// Packed segments, which the log itself does not need where the sealed ones are still there.
extension Verifier {
    /// Reads every packed segment to its end: blocks, records, and posting lists against the records.
    func checkPacked(_ report: inout VerifierReport) throws(LogStoreError) {
        let known = Set(report.damage.map(\.file))
        for file in opened.listing.packed where !known.contains(file.name) {
            do throws(FileError) {
                let handle = try opened.files.open(opened.storeFiles.path(file.name), .read)
                defer { opened.files.close(handle) }
                try check(file, handle, &report)
            } catch {
                if opened.isLive, error.reason == .notFound { continue }
                throw .file(error)
            }
        }
    }

    private func check(
        _ file: SegmentFile,
        _ handle: Files.File,
        _ report: inout VerifierReport
    ) throws(FileError) {
        func find(_ range: Range<Int>, _ reason: String) {
            report.damage.append(
                Damage(
                    file: file.name,
                    offset: range.lowerBound,
                    length: range.count,
                    reason: reason
                )
            )
        }
        guard
            var reader = try PackedReader(
                opened.files,
                handle,
                file,
                store: opened.store
            )
        else {
            find(0..<(try opened.files.size(handle)), "nothing sound is left in the file")
            return
        }
        for fault in reader.faults { find(fault.range, fault.reason) }
        report.packedSegments += 1
        report.bytes += reader.fileBytes
        var entries: Set<PackedEntry> = []
        var isWhole = true
        for number in reader.index.lines.indices {
            let range = reader.fileRange(ofBlock: number)
            guard try reader.loadBlock(number) else {
                find(range, "the block is damaged")
                isWhole = false
                continue
            }
            for place in reader.places {
                guard let header = reader.record(at: place) else {
                    find(range, "a record in the block has a wrong checksum")
                    isWhole = false
                    continue
                }
                let bytes = reader.plain.span.bytes
                guard let record = MessageRecord(header, bytes, at: place.local) else { continue }
                for index in 0..<record.entryCount {
                    let (queue, sequence) = record.entry(index, in: bytes)
                    entries.insert(
                        PackedEntry(queue: queue, sequence: sequence.value, offset: place.offset)
                    )
                }
            }
        }
        let lists = reader.index.footerOffset
        guard let (footer, bytes) = try reader.footer() else {
            find(lists..<lists, "the posting lists are damaged")
            return
        }
        if isWhole, reader.faults.isEmpty, let reason = Self.mismatch(footer, bytes, entries) {
            find(lists..<lists, reason)
        }
    }

    /// What the posting lists say that the records do not.
    private static func mismatch(
        _ footer: SegmentFooter,
        _ bytes: [UInt8],
        _ entries: Set<PackedEntry>
    ) -> String? {
        for line in footer.lines {
            guard let list = SegmentFooter.postings(of: line, in: bytes.span.bytes, at: 0) else {
                return "the posting list of queue \(line.queue.value) is cut short"
            }
            for (index, offset) in list.offsets.enumerated() where offset != 0 {
                let entry = PackedEntry(
                    queue: line.queue,
                    sequence: line.first + UInt64(index),
                    offset: Int(offset)
                )
                if !entries.contains(entry) {
                    return
                        "entry \(entry.sequence) of queue \(entry.queue.value) is listed where no "
                        + "record of it stands"
                }
            }
        }
        return nil
    }
}

/// One entry and where its record stood in the sealed segment.
private struct PackedEntry: Hashable {
    let queue: QueueID
    let sequence: UInt64
    let offset: Int
}
