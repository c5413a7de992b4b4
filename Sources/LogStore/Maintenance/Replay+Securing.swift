/// Bytes of one segment.
struct LogPart {
    let segment: UInt32
    let range: Range<Int>
}

/// What a start writes into the log before anything in it is served.
///
/// A replay itself changes nothing; whoever does not go on to serve the log leaves this out.
extension Replay {
    /// Makes durable what nobody vouches for, and the cut behind the last complete unit final.
    func makeFinal() throws(LogStoreError) {
        do throws(FileError) {
            for part in unsecured { try secure(part) }
            if let openEnd { try cutOff(at: openEnd) }
        } catch { throw .file(error) }
    }

    /// Notes what nobody vouches for.
    mutating func noteUnsecured(_ scanner: SegmentScanner<Files>, upTo end: Int) {
        let vouched = max(scanner.durable, position)
        guard vouched < LogPosition(segment: scanner.segment, offset: end) else { return }
        let start = vouched.segment == scanner.segment ? vouched.offset : 0
        unsecured.append(LogPart(segment: scanner.segment, range: start..<end))
    }

    /// It is served from now on, so it must not vanish in a power cut.
    ///
    /// The bytes are written again first. The store may have ended because a sync failed, and then the
    /// kernel may hold pages that it believes clean and that never reached the disk. A byte that cannot
    /// be read any more ends the start: nothing else may be written in its place.
    private func secure(_ part: LogPart) throws(FileError) {
        let files = files
        let file = try files.open(path(part.segment), .update)
        defer { files.close(file) }
        var offset = part.range.lowerBound
        while offset < part.range.upperBound {
            let at = offset
            var bytes: [UInt8] = []
            try bytes.appendBytes(upTo: min(1 << 20, part.range.upperBound - at)) {
                (span) throws(FileError) in
                try files.read(file, at: at, into: &span)
            }
            if bytes.isEmpty { break }
            try files.write(file, at: at, bytes.span.bytes)
            offset += bytes.count
        }
        try files.syncData(file)
    }

    /// Where the file ends inside a torn record, the zeros that it grows by later could complete it, and
    /// a unit that was given up would be back after another crash.
    private func cutOff(at end: LogPosition) throws(FileError) {
        let file = try files.open(path(end.segment), .update)
        defer { files.close(file) }
        var reader = try BlockReader(files, file, blockBytes: 4096)
        let count = min(RecordHeader.byteCount, reader.size - end.offset)
        guard count > 0, try reader.load(end.offset, count) else { return }
        let local = end.offset - reader.start
        if reader.window[local..<local + count].allSatisfy({ $0 == 0 }) { return }
        try files.writeZeros(file, from: end.offset, count)
        try files.syncData(file)
    }
}
