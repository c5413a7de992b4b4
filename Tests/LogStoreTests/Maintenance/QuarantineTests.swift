import Base
import Testing

@testable import LogStore

/// What a start does with damage by `on_damage`, and what is kept of the damaged bytes.
@Suite struct QuarantineTests {
    private func open(
        _ files: ScratchFiles,
        _ onDamage: LogStoreOptions.OnDamage,
        minFreeDiskBytes: Int = 0
    ) throws -> InlineStore<ScratchFiles> {
        var options = ContainmentLog.quietOptions
        options.onDamage = onDamage
        options.minFreeDiskBytes = minFreeDiskBytes
        return try InlineStore(files, ContainmentLog.directory, options)
    }

    private func quarantined(_ files: ScratchFiles) -> [String] {
        files.paths.map { String($0.dropFirst(ContainmentLog.directory.count + 1)) }
            .filter { $0.hasPrefix("quarantine-") }
    }

    /// A message record behind the checkpoint's position, or before it, with one bit flipped.
    private func damaged(
        _ log: ContainmentLog,
        isReplayed: Bool
    ) throws -> (files: ScratchFiles, piece: ContainmentPiece) {
        let position = log.checkpoint?.position ?? LogPosition(value: 0)
        let piece = try #require(
            log.pieces.first { piece in
                guard case .message = piece.content else { return false }
                return (piece.position >= position) == isReplayed
            }
        )
        var bytes = log.bytes(piece.file)
        bytes[piece.range.upperBound - 8] ^= 1
        return (log.changed([piece.file: bytes]), piece)
    }

    private func name(_ piece: ContainmentPiece) -> String {
        FileNames.quarantine(piece.file, piece.range.lowerBound, piece.range.count)
    }

    // MARK: Refusing

    @Test("a start that refuses names the damage and changes nothing")
    func refuses() throws {
        let (files, piece) = try damaged(try .make(.killed, checkpoints: false), isReplayed: true)
        let before = files.paths.map { files[$0] }
        do {
            _ = try open(files, .refuse)
            Issue.record("it started")
        } catch LogStoreError.damaged(_, let damage) {
            #expect(damage.map(\.file) == [piece.file])
            #expect(damage.first?.offset == piece.range.lowerBound)
            #expect(damage.first?.queue != nil && damage.first?.entries.isEmpty == false)
            let text = LogStoreError.damaged(directory: "/data", damage).description
            #expect(text.contains(piece.file) && text.contains("radiator-log repair /data --out"))
        }
        #expect(files.changes == [] && files.paths.map { files[$0] } == before)
        #expect(try open(files, .quarantine).report.damage.count == 1)
    }

    @Test("a start that refuses starts where there is a torn tail, or an older checkpoint is sound")
    func refusesNothingElse() throws {
        let log = try ContainmentLog.make(.killed)
        let last = try #require(log.pieces.last { $0.file == FileNames.segment(log.lastSegment) })
        let torn = log.changed([
            last.file: Array(log.bytes(last.file)[..<(last.range.upperBound - 3)])
        ])
        let tornReport = try open(torn, .refuse).report
        #expect(tornReport.tornBytes > 0 && tornReport.damage == [])
        let checkpoint = try #require(log.checkpoint).file
        var bytes = log.bytes(checkpoint)
        bytes[50] ^= 1
        let report = try open(log.changed([checkpoint: bytes]), .refuse).report
        #expect(report.unusedCheckpoints.count == 1)
    }

    @Test("a start that refuses does not start on the records alone where checkpoints are damaged")
    func refusesWithoutCheckpoint() throws {
        let log = try ContainmentLog.make(.killed)
        var changes: [String: [UInt8]?] = [:]
        for name in log.names where name.hasSuffix(".chk") {
            changes[name] = log.bytes(name).map { ~$0 }
        }
        let files = log.changed(changes)
        #expect(throws: LogStoreError.self) { try open(files, .refuse) }
        #expect(files.changes == [])
        #expect(try open(files, .quarantine).report.isRebuilt)
    }

    @Test("whatever is damaged, a refusal leaves every byte as it is")
    func refusalsChangeNothing() throws {
        let log = try ContainmentLog.make(.killed, packs: false, segments: 2)
        var refused = 0
        for name in log.names {
            for offset in stride(from: 0, to: log.bytes(name).count, by: 13) {
                var bytes = log.bytes(name)
                bytes[offset] ^= 4
                let files = log.changed([name: bytes])
                do throws(LogStoreError) {
                    let opened = try Recovery.open(
                        files,
                        directory: ContainmentLog.directory,
                        options: {
                            var all = ContainmentLog.quietOptions; all.onDamage = .refuse;
                            return all
                        }(),
                        now: WallTime(milliseconds: 1),
                        using: &Self.generator
                    )
                    #expect(opened.report.damage == [])
                } catch {
                    guard case .damaged = error else { throw error }
                    refused += 1
                    #expect(files.changes == [], "byte \(offset) of \(name)")
                }
            }
        }
        #expect(refused > 5)
    }

    nonisolated(unsafe) private static var generator = SeededGenerator(seed: 1)

    // MARK: Keeping

    @Test("damaged bytes are kept in a file of their own, once")
    func keepsWhatRecoveryFinds() throws {
        let (files, piece) = try damaged(try .make(.killed, checkpoints: false), isReplayed: true)
        let store = try open(files, .quarantine)
        let name = name(piece)
        #expect(store.report.quarantine.kept == [name] && store.report.quarantine.notKept == [])
        let bytes = try #require(files[ContainmentLog.path(piece.file)])
        #expect(files[ContainmentLog.path(name)] == Array(bytes[piece.range]))
        store.close()
        let again = try open(files, .quarantine)
        #expect(again.report.damage.count == 1 && again.report.quarantine.isEmpty)
        #expect(quarantined(files) == [name])
    }

    @Test("damage that is met by a reader is kept as well, and told")
    func keepsWhatReadersFind() throws {
        let (files, piece) = try damaged(try .make(.killed), isReplayed: false)
        let store = try open(files, .quarantine)
        #expect(store.report.damage == [] && quarantined(files) == [])
        for _ in 0..<2 {
            for (queue, _) in store.store.queueNames { _ = store.bodies(queue) }
            store.run()
        }
        #expect(quarantined(files) == [name(piece)])
        let bytes = try #require(files[ContainmentLog.path(piece.file)])
        #expect(files[ContainmentLog.path(name(piece))] == Array(bytes[piece.range]))
    }

    @Test("a damaged block of a packed segment is kept")
    func keepsBlocks() throws {
        let log = try ContainmentLog.make(.killed)
        let piece = try #require(
            log.pieces.first { piece in
                guard case .block(let keys, _) = piece.content else { return false }
                return keys.contains { log.expected.queues[$0.queue]?.entries[$0.sequence] != nil }
            }
        )
        var bytes = log.bytes(piece.file)
        bytes[piece.range.lowerBound + 40] ^= 1
        let files = log.changed([piece.file: bytes])
        let store = try open(files, .quarantine)
        for (queue, _) in store.store.queueNames { _ = store.bodies(queue) }
        store.run()
        #expect(quarantined(files) == [name(piece)])
    }

    @Test("what may not be written is said, and the store starts")
    func keepsFreeDisk() throws {
        let (files, piece) = try damaged(try .make(.killed, checkpoints: false), isReplayed: true)
        files.setFreeBytes(1000)
        let store = try open(files, .quarantine, minFreeDiskBytes: 1000)
        #expect(quarantined(files) == [])
        #expect(store.report.quarantine.notKept.count == 1)
        #expect(store.report.quarantine.notKept.first?.contains(piece.file) == true)
        #expect(store.report.damage.count == 1)
    }

    @Test("copies are bounded by number and by bytes, and the bound is said once")
    func limits() throws {
        let files = ScratchFiles()
        let name = FileNames.segment(1)
        files["/data/" + name] = [UInt8](repeating: 1, count: 64 << 10)
        let quarantine = Quarantine(files, directory: "/data", minFreeBytes: 0)
        let many = (0..<1005).map { Damage(file: name, offset: $0 * 8, length: 8, reason: "") }
        let report = quarantine.keep(many)
        #expect(report.kept.count == 1000 && report.notKept.count == 1)
        #expect(quarantine.keep(many).isEmpty)

        let large = ScratchFiles()
        large["/data/" + name] = [UInt8](repeating: 1, count: (64 << 20) + 8)
        let whole = Damage(file: name, offset: 0, length: (64 << 20) + 8, reason: "")
        let part = Damage(file: name, offset: 8, length: 64 << 20, reason: "")
        let next = Damage(file: name, offset: 0, length: 8, reason: "")
        let other = Quarantine(large, directory: "/data", minFreeBytes: 0).keep([whole, part, next])
        #expect(other.kept.count == 1 && other.notKept.count == 1)
        // A later start counts what is there.
        let later = Quarantine(large, directory: "/data", minFreeBytes: 0).keep([part, next])
        #expect(later.kept == [] && later.notKept.count == 1)
    }

    @Test("a copy whose writing was interrupted is made again, and strangers' files are left alone")
    func interrupted() throws {
        let (files, piece) = try damaged(try .make(.killed, checkpoints: false), isReplayed: true)
        let name = name(piece)
        files[ContainmentLog.path(name + ".tmp")] = [1, 2, 3]
        files[ContainmentLog.path("quarantine-notes.bin")] = [1]
        let store = try open(files, .quarantine)
        #expect(store.report.quarantine.kept == [name])
        #expect(quarantined(files).sorted() == [name, "quarantine-notes.bin"].sorted())
        store.close()
        let inspected = try Inspector.run(files, directory: ContainmentLog.directory)
        #expect(inspected.quarantined.map(\.name) == [name])
        #expect(inspected.quarantined.map(\.bytes) == [piece.range.count])
        let verified = try Verifier.run(files, directory: ContainmentLog.directory)
        #expect(verified.quarantined == inspected.quarantined)
        #expect(verified.notes.contains { $0.contains("quarantine-notes.bin") })
    }

    @Test("only names as they are given are copies of damage")
    func names() {
        let segment = FileNames.quarantine(FileNames.segment(7), 64, 128)
        #expect(segment == "quarantine-segment-0000000007.log-64-128.bin")
        #expect(FileNames.kind(of: segment) == .quarantine)
        #expect(
            FileNames.kind(of: FileNames.quarantine(FileNames.packed(7, 2), 64, 8)) == .quarantine
        )
        #expect(FileNames.kind(of: segment + ".tmp") == .temporary)
        for name in [
            "quarantine-.bin", "quarantine-lock-1-2.bin", "quarantine-segment-7.log-1-2.bin",
            "quarantine-segment-0000000007.log-01-2.bin", "quarantine-segment-0000000007.log-2.bin",
            "quarantine-a-1-2.bin.tmp",
        ] {
            #expect(FileNames.kind(of: name) == .unknown)
        }
    }
}
