import Synchronization

/// What became of damaged bytes that were to be kept aside.
package struct QuarantineReport: Sendable, Equatable {
    /// Files that were written.
    package var kept: [String] = []
    /// Ranges of which no copy was made, each with the reason.
    package var notKept: [String] = []

    package init() {}

    package var isEmpty: Bool { kept.isEmpty && notKept.isEmpty }
}

/// One copy of damaged bytes in a store's directory.
package struct QuarantinedFile: Sendable, Equatable {
    package let name: String
    package let bytes: Int

    init(_ name: String) {
        self.name = name
        bytes = name.dropLast(4).split(separator: "-").last.flatMap { Int($0) } ?? 0
    }
}

/// Keeps copies of damaged bytes, so that somebody can look at them when their segment has gone.
///
/// One file for each range, of just these bytes, named after where they stood. A copy is never written
/// over, and made once: the same damage met again has the same name. It is bounded, leaves
/// `min_free_disk` alone, and whatever fails is told and hinders nobody.
///
/// Confinement: none; one range is copied at a time.
final class Quarantine<Files: FileSystem>: Sendable {
    /// Copies in one directory: far more than anybody looks at.
    static var filesMax: Int { 1000 }
    /// Bytes of all copies in one directory: one ruined segment of the default size.
    static var bytesMax: Int { 64 << 20 }

    private struct State {
        /// Copies that are there, and ranges that were refused: nothing is left to do for them.
        var done: Set<String> = []
        var fileCount = 0
        var bytes = 0
        var isListed = false
        /// Whether it was said that there is no room for more.
        var hasToldFull = false
    }

    private let files: Files
    private let directory: String
    private let minFreeBytes: Int
    private let state = Mutex(State())

    init(_ files: Files, directory: String, minFreeBytes: Int) {
        self.files = files
        self.directory = directory
        self.minFreeBytes = minFreeBytes
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    /// Copies the bytes of each range that is in a file that can be read.
    ///
    /// Blocks.
    func keep(_ damage: [Damage]) -> QuarantineReport {
        state.withLock { state in
            var report = QuarantineReport()
            for item in damage where item.length > 0 {
                do throws(FileError) {
                    try keep(item, &state, &report)
                } catch {
                    refuse(item, error.description, &state, &report)
                }
            }
            return report
        }
    }

    private func keep(
        _ damage: Damage,
        _ state: inout State,
        _ report: inout QuarantineReport
    ) throws(FileError) {
        if state.done.contains(Self.key(damage)) { return }
        try list(&state)
        guard let source = try open(damage.file) else { return }
        defer { files.close(source) }
        let length = min(damage.length, try files.size(source) - damage.offset)
        // What is missing from a file leaves nothing to keep.
        guard length > 0 else { return }
        let name = FileNames.quarantine(damage.file, damage.offset, length)
        guard !state.done.contains(name) else { return }
        guard state.fileCount < Self.filesMax, length <= Self.bytesMax - state.bytes else {
            if !state.hasToldFull {
                let limit = "\(Self.filesMax) files and \(Self.bytesMax >> 20) MiB"
                refuse(damage, "copies of damage take at most \(limit)", &state, &report)
            }
            state.hasToldFull = true
            return
        }
        guard try files.freeBytes(directory) - length >= minFreeBytes else {
            refuse(damage, "less than min_free_disk would be free", &state, &report)
            return
        }
        try copy(source, damage.offset, length, to: name)
        state.done.insert(name)
        state.fileCount += 1
        state.bytes += length
        report.kept.append(name)
    }

    /// The file if it is there; one that is not has nothing to keep.
    private func open(_ name: String) throws(FileError) -> Files.File? {
        do throws(FileError) { return try files.open(path(name), .read) } catch {
            if error.reason == .notFound { return nil }
            throw error
        }
    }

    private static func key(_ damage: Damage) -> String {
        FileNames.quarantine(damage.file, damage.offset, damage.length)
    }

    /// Said once for each range.
    private func refuse(
        _ damage: Damage,
        _ reason: String,
        _ state: inout State,
        _ report: inout QuarantineReport
    ) {
        guard state.done.count < 4 * Self.filesMax, state.done.insert(Self.key(damage)).inserted
        else { return }
        report.notKept.append(
            "\(damage.length) bytes at offset \(damage.offset) of \(damage.file): \(reason)"
        )
    }

    private func list(_ state: inout State) throws(FileError) {
        if state.isListed { return }
        for file in try StoreFiles(files: files, directory: directory).list().quarantined {
            state.done.insert(file.name)
            state.fileCount += 1
            state.bytes += file.bytes
        }
        state.isListed = true
    }

    /// Written under another name, synced, renamed: a crash leaves a whole copy or none.
    private func copy(
        _ source: Files.File,
        _ offset: Int,
        _ length: Int,
        to name: String
    ) throws(FileError) {
        let temporary = path(FileNames.temporary(name))
        do throws(FileError) {
            let target = try files.open(temporary, .create)
            defer { files.close(target) }
            // Brings zeros for what the disk has lost.
            var reader = try BlockReader(files, source)
            var at = 0
            while at < length {
                let count = min(BlockReader<Files>.blockBytes, length - at)
                guard try reader.load(offset + at, count) else { break }
                let start = offset + at - reader.start
                let bytes = reader.window.span.bytes.extracting(start..<start + count)
                try files.write(target, at: at, bytes)
                at += count
            }
            try files.syncData(target)
            try files.rename(temporary, to: path(name))
            try files.syncDirectory(directory)
        } catch {
            do throws(FileError) { try files.remove(temporary) } catch {}
            throw error
        }
    }
}
