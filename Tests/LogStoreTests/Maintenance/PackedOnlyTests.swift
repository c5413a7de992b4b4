import Base
import Testing

@testable import LogStore

/// Packed segments without anything beside them, and packed segments of a newer version.
@Suite struct PackedOnlyTests {
    /// The files that a test leaves of a log.
    private func only(
        _ log: ContainmentLog,
        _ isKept: (String) -> Bool
    ) -> ScratchFiles {
        let files = log.files.copy()
        for name in log.names where !isKept(name) { files[ContainmentLog.path(name)] = nil }
        return files
    }

    private func packedEntries(_ log: ContainmentLog) -> Set<ContainmentKey> {
        var keys: Set<ContainmentKey> = []
        for piece in log.pieces {
            if case .block(let entries, _) = piece.content { keys.formUnion(entries) }
        }
        return keys
    }

    private func open(_ files: ScratchFiles) throws -> InlineStore<ScratchFiles> {
        try InlineStore(files, ContainmentLog.directory, ContainmentLog.quietOptions)
    }

    @Test("a store of packed segments only is no new store", arguments: [false, true])
    func packedOnly(hasDamagedCheckpoints: Bool) throws {
        let log = try ContainmentLog.make(.clean)
        let files = only(log) { name in
            name.hasSuffix(".pak") || hasDamagedCheckpoints && name.hasSuffix(".chk")
        }
        for path in files.paths where path.hasSuffix(".chk") { files[path]?[30] ^= 1 }
        let before = files.paths.filter { $0.hasSuffix(".pak") }
        let verdict = try Verifier.run(files, directory: ContainmentLog.directory)
        #expect(verdict.isSound == !hasDamagedCheckpoints && verdict.unsettled > 0)
        let store = try open(files)
        let found = ContainmentState(reading: store)
        #expect(!store.report.isNew && store.report.isRebuilt && found.nonsense == [])
        for key in packedEntries(log) {
            let entry = log.expected.queues[key.queue]?.entries[key.sequence]
            guard let entry else { continue }
            let other = found.queues[key.queue]?.entries[key.sequence]
            #expect(other?.bytes == entry.bytes, "\(key)")
        }
        #expect(found.queues[1]?.name == "/queue/a")
        // The log goes on, with numbers of its own, and everything is there after a further start.
        let queue = try #require(store.store.queueNames.first).id
        let body: [UInt8] = [1]
        let none: [UInt8] = []
        _ = store.store.enqueue(
            headers: none.span.bytes,
            body: body.span.bytes,
            to: queue,
            at: WallTime(milliseconds: 1)
        )
        store.store.requestCheckpoint()
        store.run()
        #expect(store.store.state.segments.nextGeneration > 1)
        store.close()
        #expect(before.allSatisfy { files[$0] != nil })
        let again = ContainmentState(reading: try open(files))
        #expect(again.damage == [])
        #expect(
            again.queues[queue.value]?.entries.count
                == (found.queues[queue.value]?.entries.count ?? 0) + 1
        )
    }

    @Test("a packed segment whose number and generation are taken is never written over")
    func generations() throws {
        let log = try ContainmentLog.make(.clean)
        let files = only(log) { $0.hasSuffix(".pak") }
        let path = try #require(files.paths.first { $0.hasSuffix(".pak") })
        let bytes = files[path]
        var options = ContainmentLog.options
        options.packBelowLive = 0.99
        let store = try InlineStore(files, ContainmentLog.directory, options)
        let body = [UInt8](repeating: 7, count: 50)
        for (queue, _) in store.store.queueNames {
            let first = store.store.depth(queue)?.first
            if let first { store.store.settle(queue, first, bytes: nil, reason: 1) }
            for _ in 0..<8 {
                _ = store.store.enqueue(
                    headers: [UInt8]().span.bytes,
                    body: body.span.bytes,
                    to: queue,
                    at: WallTime(milliseconds: 1)
                )
                store.run()
            }
        }
        for _ in 0..<8 {
            store.now = store.now.advanced(by: .seconds(2))
            store.store.tick(store.instant)
            store.run()
            if files[path] != nil { #expect(files[path] == bytes) }
        }
        #expect(ContainmentState(reading: store).damage == [])
    }

    @Test("a store of damaged packed segments only is no new store either")
    func damagedHeaders() throws {
        let log = try ContainmentLog.make(.clean)
        let files = only(log) { $0.hasSuffix(".pak") }
        for path in files.paths where path.hasSuffix(".pak") { files[path]?[45] ^= 1 }
        let store = try open(files)
        #expect(!store.report.isNew && store.report.messages > 0)
        #expect(store.report.damage.map(\.offset) == [0])
        for path in files.paths where path.hasSuffix(".pak") { files[path]?[20] ^= 1 }
        for path in files.paths where path.hasSuffix(".log") { files[path] = nil }
        store.close()
        #expect(throws: LogStoreError.self) { try open(files) }
    }

    @Test("a packed segment of a newer version is refused by name, by the start and by the tools")
    func newerVersion() throws {
        let log = try ContainmentLog.make(.clean)
        let name = try #require(log.names.first { $0.hasSuffix(".pak") })
        var bytes = log.bytes(name)
        bytes[8] = 4
        for index in 12..<16 { bytes[index] = 0 }
        let crc = Checksum.crc32c(0, bytes.span.bytes.extracting(0..<64))
        for index in 0..<4 { bytes[12 + index] = UInt8(crc >> (index * 8) & 0xFF) }
        let path = ContainmentLog.path(name)
        let expected = LogStoreError.newerFormat(file: path, version: 4, supported: 3)
        for files in [
            log.changed([name: bytes]),
            only(try ContainmentLog(log.files)) { $0 == name },
        ] {
            files[path] = bytes
            #expect(throws: expected) { try open(files) }
            let directory = ContainmentLog.directory
            #expect(throws: expected) { try Verifier.run(files, directory: directory) }
            #expect(throws: expected) { try Inspector.run(files, directory: directory) }
            #expect(throws: expected) { try entries(files, directory) }
        }
    }
}
