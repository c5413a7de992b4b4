/// Finds a store's id where every header that should tell it is damaged.
///
/// The id starts all checksums, so without it no record can be told from noise. But 16 sound bytes at
/// their place in any damaged header are enough: an id is the right one if a record's checksum holds
/// with it.
struct LostIdentity<Files: FileSystem> {
    let storeFiles: StoreFiles<Files>

    /// The first id of any file's header that is right for the records of a segment.
    func find(_ listing: StoreFiles<Files>.Listing) throws(LogStoreError) -> StoreID? {
        do throws(FileError) {
            var names = listing.segments.map { FileNames.segment($0) }
            names += listing.packed.map(\.name)
            names += listing.checkpoints.map { FileNames.checkpoint($0) }
            let sealed = listing.segments.map { SegmentFile(segment: $0, generation: 0) }
            let proofs = sealed.prefix(8) + listing.packed.prefix(8)
            var tried: Set<StoreID> = []
            for name in names {
                guard let id = try candidate(name), tried.insert(id).inserted else { continue }
                for file in proofs where try fits(id, file) { return id }
            }
            return nil
        } catch { throw .file(error) }
    }

    /// All headers hold the id in bytes 16 to 31.
    private func candidate(_ name: String) throws(FileError) -> StoreID? {
        guard let file = try open(name) else { return nil }
        defer { storeFiles.files.close(file) }
        var reader = try BlockReader(storeFiles.files, file, blockBytes: 64)
        guard try reader.load(16, 16) else { return nil }
        let bytes = reader.window.span.bytes
        let at = 16 - reader.start
        return StoreID(high: bytes.uint64(at: at), low: bytes.uint64(at: at + 8))
    }

    /// A file that cannot be opened tells nothing; others may.
    private func open(_ name: String) throws(FileError) -> Files.File? {
        do throws(FileError) {
            return try storeFiles.files.open(storeFiles.path(name), .read)
        } catch {
            if error.reason == .notFound || error.spoilsOneFile { return nil }
            throw error
        }
    }

    /// Whether one of the segment's first records has the right checksum with the id.
    private func fits(_ id: StoreID, _ form: SegmentFile) throws(FileError) -> Bool {
        guard let file = try open(form.name) else { return false }
        defer { storeFiles.files.close(file) }
        var reader = try BlockReader(storeFiles.files, file)
        let seed = id.seed(ofSegment: form.segment)
        var at = SegmentHeader.byteCount
        let end = min(reader.size, BlockReader<Files>.blockBytes)
        while at < end, try reader.load(at, RecordHeader.byteCount) {
            if try reader.soundHeader(at, seed: seed) != nil { return true }
            at += 8
        }
        return false
    }
}
