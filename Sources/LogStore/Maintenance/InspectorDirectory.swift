import Base

/// A store's directory opened for reading only: names, checkpoints, and the lock unless a writer is
/// welcome beside.
///
/// Nothing in the directory is created, changed or removed. Whoever opened it calls `close`.
struct InspectorDirectory<Files: FileSystem> {
    let files: Files
    let directory: String
    let isLive: Bool
    let store: StoreID
    let listing: StoreFiles<Files>.Listing
    /// The headers of sound checkpoints, rising.
    let checkpoints: [CheckpointHeader]
    /// Checkpoint files that cannot be used.
    let faults: [(number: UInt64, fault: CheckpointFault)]
    private let lock: Files.File?

    var storeFiles: StoreFiles<Files> { StoreFiles(files: files, directory: directory) }

    init(
        _ files: Files,
        directory: String,
        isLive: Bool
    ) throws(LogStoreError) {
        let reading = StoreFiles(files: files, directory: directory)
        let lock = try Self.takeLock(reading, isLive: isLive)
        do throws(LogStoreError) {
            let found =
                try isLive ? Self.lookBesideWriter(reading) : Self.look(reading, isLive: false)
            store = found.store
            listing = found.listing
            checkpoints = found.checkpoints
            faults = found.faults
        } catch {
            if let lock { files.close(lock) }
            throw error
        }
        self.files = files
        self.directory = directory
        self.isLive = isLive
        self.lock = lock
    }

    private static var looksMax: Int { 20 }

    private struct Look {
        let store: StoreID
        let listing: StoreFiles<Files>.Listing
        let checkpoints: [CheckpointHeader]
        let faults: [(number: UInt64, fault: CheckpointFault)]
    }

    /// Beside a writer all that was listed may be gone before it is read; then it is listed again.
    private static func lookBesideWriter(
        _ reading: StoreFiles<Files>
    ) throws(LogStoreError) -> Look {
        for _ in 1..<looksMax {
            do throws(LogStoreError) { return try look(reading, isLive: true) } catch {
                guard case .unusable = error else { throw error }
            }
        }
        return try look(reading, isLive: true)
    }

    private static func look(
        _ reading: StoreFiles<Files>,
        isLive: Bool
    ) throws(LogStoreError) -> Look {
        let listing = try list(reading)
        try reading.checkVersions(listing.packed)
        let found = try readCheckpoints(reading, listing, isLive: isLive)
        var known = found.sound.last?.store
        if known == nil { known = try reading.storeOfLog(listing) }
        guard let store = known else {
            throw .unusable(
                file: reading.directory,
                reason: "no store here: nothing was begun yet"
            )
        }
        return Look(
            store: store,
            listing: listing,
            checkpoints: found.sound,
            faults: found.faults
        )
    }

    /// Lets go of the lock.
    func close() {
        if let lock { files.close(lock) }
    }

    /// A checkpoint's content, decoded anew: a replay takes its state over and changes it.
    func content(_ header: CheckpointHeader) throws(LogStoreError) -> CheckpointContent? {
        do throws(FileError) {
            if case .success(let content) = try storeFiles.checkpoint(header.number) {
                return content
            }
            return nil
        } catch {
            if isLive, error.reason == .notFound { return nil }
            throw .file(error)
        }
    }

    var scope: ReplayScope {
        var scope = ReplayScope()
        scope.isLive = isLive
        return scope
    }

    private static func list(
        _ reading: StoreFiles<Files>
    ) throws(LogStoreError) -> StoreFiles<Files>.Listing {
        let listing: StoreFiles<Files>.Listing
        do throws(FileError) { listing = try reading.list() } catch { throw .file(error) }
        guard !listing.numbers.isEmpty || !listing.checkpoints.isEmpty else {
            throw .unusable(
                file: reading.directory,
                reason: "no store here: it holds no segments and no checkpoints"
            )
        }
        return listing
    }

    /// Keeps a daemon from starting while the files are read; without a lock file there is none.
    private static func takeLock(
        _ reading: StoreFiles<Files>,
        isLive: Bool
    ) throws(LogStoreError) -> Files.File? {
        guard try list(reading).hasLock, !isLive else { return nil }
        do throws(FileError) {
            return try reading.files.lockExisting(reading.path(FileNames.lock))
        } catch {
            throw error.reason == .locked ? .inUse(directory: reading.directory) : .file(error)
        }
    }

    private static func readCheckpoints(
        _ reading: StoreFiles<Files>,
        _ listing: StoreFiles<Files>.Listing,
        isLive: Bool
    ) throws(LogStoreError) -> (
        sound: [CheckpointHeader], faults: [(number: UInt64, fault: CheckpointFault)]
    ) {
        var sound: [CheckpointHeader] = []
        var faults: [(number: UInt64, fault: CheckpointFault)] = []
        for number in listing.checkpoints {
            let result: Result<CheckpointContent, CheckpointFault>
            do throws(FileError) { result = try reading.checkpoint(number) } catch {
                // The daemon keeps two and removes the one before.
                if isLive, error.reason == .notFound { continue }
                throw .file(error)
            }
            switch result {
            case .success(let content): sound.append(content.header)
            case .failure(.newerVersion(let version)):
                throw .newerFormat(
                    file: reading.path(FileNames.checkpoint(number)),
                    version: version,
                    supported: CheckpointHeader.formatVersion
                )
            case .failure(let fault): faults.append((number, fault))
            }
        }
        return (sound, faults)
    }
}

extension CheckpointFault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notACheckpoint: "it is no checkpoint"
        case .badChecksum: "its checksum is wrong"
        case .newerVersion(let version): "it has format version \(version)"
        case .contradiction(let what): "it contradicts itself: \(what)"
        case .unreadable(let why): "it cannot be read: \(why)"
        }
    }
}

extension StoreID: CustomStringConvertible {
    /// The 16 bytes as they stand in the files, in hexadecimal.
    package var description: String {
        [high, low].map { value in
            (0..<8).map { index in
                let byte = UInt8(truncatingIfNeeded: value >> (UInt64(index) * 8))
                return (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
        }.joined()
    }
}
