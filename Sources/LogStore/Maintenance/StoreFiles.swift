/// Reads what a store's directory holds besides records: names, checkpoints, segment headers.
///
/// Changes nothing; recovery and the offline tools both look through it. All calls block.
struct StoreFiles<Files: FileSystem> {
    let files: Files
    let directory: String

    /// The names in the directory by what they stand for, in rising order.
    struct Listing {
        var segments: [UInt32] = []
        var packed: [SegmentFile] = []
        var checkpoints: [UInt64] = []
        var temporary: [String] = []
        /// Copies of damaged bytes.
        var quarantined: [QuarantinedFile] = []
        var unknown: [String] = []
        var hasLock = false

        /// The segments of which any form is there, rising.
        var numbers: [UInt32] { Set(segments).union(packed.map(\.segment)).sorted() }
    }

    func path(_ name: String) -> String { directory + "/" + name }

    func list() throws(FileError) -> Listing {
        var listing = Listing()
        for name in try files.list(directory).sorted() {
            switch FileNames.kind(of: name) {
            case .segment(let number): listing.segments.append(number)
            case .packed(let file): listing.packed.append(file)
            case .checkpoint(let number): listing.checkpoints.append(number)
            case .temporary: listing.temporary.append(name)
            case .lock: listing.hasLock = true
            case .reserve: break
            case .quarantine: listing.quarantined.append(QuarantinedFile(name))
            case .unknown: listing.unknown.append(name)
            }
        }
        listing.segments.sort()
        listing.packed.sort { ($0.segment, $0.generation) < ($1.segment, $1.generation) }
        listing.checkpoints.sort()
        return listing
    }

    /// Reads and decodes a checkpoint; a newer version is a failure like others here.
    func checkpoint(
        _ number: UInt64
    ) throws(FileError) -> Result<CheckpointContent, CheckpointFault> {
        let bytes: [UInt8]
        do throws(FileError) { bytes = try readWhole(FileNames.checkpoint(number)) } catch {
            guard error.spoilsOneFile || error.reason == .notFound && isDangling(number) else {
                throw error
            }
            return .failure(.unreadable(error.detail))
        }
        do throws(CheckpointFault) {
            let content = try CheckpointFormat.decode(bytes.span.bytes)
            guard content.header.number == number else {
                return .failure(.contradiction("it carries another number"))
            }
            return .success(content)
        } catch { return .failure(error) }
    }

    /// Whether a checkpoint that cannot be opened still has its name: a link that leads nowhere.
    private func isDangling(_ number: UInt64) -> Bool {
        do throws(FileError) {
            return try files.list(directory).contains(FileNames.checkpoint(number))
        } catch { return false }
    }

    /// Reads a file, once more if that fails: an error may pass.
    private func readWhole(_ name: String) throws(FileError) -> [UInt8] {
        do throws(FileError) { return try readOnce(name) } catch {
            guard error.spoilsOneFile else { throw error }
            return try readOnce(name)
        }
    }

    private func readOnce(_ name: String) throws(FileError) -> [UInt8] {
        let file = try files.open(path(name), .read)
        defer { files.close(file) }
        let size = try files.size(file)
        var bytes: [UInt8] = []
        try bytes.appendBytes(upTo: size) { (span) throws(FileError) in
            try files.read(file, at: 0, into: &span)
        }
        return bytes
    }

    /// The store's id by the first file with a sound header, or else by any header and a record that fits
    /// it; nil if nothing was ever begun.
    func storeOfLog(_ listing: Listing) throws(LogStoreError) -> StoreID? {
        var first: String?
        for number in listing.segments {
            let name = FileNames.segment(number)
            let bytes = try readStart(name)
            do throws(SegmentHeader.Fault) {
                return try SegmentHeader.decode(bytes.span.bytes).store
            } catch {
                if case .newerVersion(let version) = error { throw newerFormat(number, version) }
            }
            if bytes.contains(where: { $0 != 0 }) { first = first ?? name }
        }
        for file in listing.packed {
            let bytes = try readStart(file.name)
            do throws(SegmentHeader.Fault) {
                return try PackedHeader.decode(bytes.span.bytes).store
            } catch {
                first = first ?? file.name
            }
        }
        if let id = try LostIdentity(storeFiles: self).find(listing) { return id }
        guard let first else { return nil }
        throw .unusable(
            file: path(first),
            reason:
                "no file in the directory tells the store's id, and without it no record can be told "
                + "from noise"
        )
    }

    /// Refuses packed segments of a newer version by name; damaged ones are found later.
    func checkVersions(_ packed: [SegmentFile]) throws(LogStoreError) {
        for file in packed {
            let bytes = try readStart(file.name)
            do throws(SegmentHeader.Fault) {
                _ = try PackedHeader.decode(bytes.span.bytes)
            } catch {
                guard case .newerVersion(let version) = error else { continue }
                throw .newerFormat(
                    file: path(file.name),
                    version: version,
                    supported: PackedHeader.formatVersion
                )
            }
        }
    }

    func newerFormat(_ segment: UInt32, _ version: UInt32) -> LogStoreError {
        .newerFormat(
            file: path(FileNames.segment(segment)),
            version: version,
            supported: SegmentHeader.formatVersion
        )
    }

    /// The first bytes of a file, as many as a header has; none if it cannot be read.
    private func readStart(_ name: String) throws(LogStoreError) -> [UInt8] {
        do throws(FileError) {
            let file = try files.open(path(name), .read)
            defer { files.close(file) }
            var bytes: [UInt8] = []
            try bytes.appendBytes(upTo: SegmentHeader.byteCount) { (span) throws(FileError) in
                try files.read(file, at: 0, into: &span)
            }
            return bytes
        } catch {
            // The others may tell it.
            if error.reason == .notFound || error.spoilsOneFile { return [] }
            throw .file(error)
        }
    }
}
