import Base
import LogStore
import Testing

/// What a start makes of damaged and missing files: as much as can be read, and a report of the rest.
@Suite struct RecoveryDamageTests {
    /// Opens a damaged copy of a sample store for writing, as the server would.
    private func open(
        _ sample: SampleStore,
        _ damage: (inout [String: [UInt8]]) -> Void,
        _ body: (RecoveryReport, [UInt64]) throws -> Void
    ) throws {
        var contents: [String: [UInt8]] = [:]
        for name in sample.files.names where name != FileNames.lock {
            contents[name] = sample.files[name]
        }
        damage(&contents)
        try withTemporaryDirectory { directory in
            let files = PosixFileSystem()
            for (name, bytes) in contents {
                let file = try files.open(directory + "/" + name, .create)
                defer { files.close(file) }
                try files.write(file, at: 0, bytes.span.bytes)
            }
            let store = try InlineStore(files, directory, SampleStore.options)
            defer { store.close() }
            let queue = try #require(store.store.queueNames.first { $0.name == "/queue/a" }).id
            try body(store.report, store.bodies(queue).map(\.0))
        }
    }

    private func withoutCheckpoints(_ contents: inout [String: [UInt8]]) {
        contents = contents.filter { !$0.key.hasSuffix(".chk") }
    }

    private func unsettled(_ range: ClosedRange<UInt64>) -> [UInt64] {
        range.filter { $0 % 3 != 0 || $0 >= 1000 }
    }

    @Test("a damaged footer of an early segment ends no replay and costs no message")
    func damagedFooter() throws {
        let sample = try SampleStore.make(messages: 60, checkpoints: false)
        for index in sample.segments.indices.dropLast() {
            let footer = try #require(sample.records(sample.file(index)).last)
            try open(sample) { contents in
                contents[sample.file(index)]?[footer.offset + 20] ^= 1
            } _: { report, entries in
                #expect(report.damage.map(\.reason) == ["the footer is damaged"])
                #expect(entries == unsettled(1...60))
            }
        }
    }

    @Test("without checkpoints, a segment that was done with leaves the ones after it whole")
    func shortenedLog() throws {
        let sample = try SampleStore.make(messages: 60, checkpoints: false)
        for index in sample.segments.indices.dropLast() {
            let lost = sample.records(sample.file(index)).count
            #expect(lost > 10)
            try open(sample) { contents in
                contents[sample.file(index)] = nil
            } _: { report, entries in
                #expect(report.damage == [])
                #expect(report.tornBytes == 0)
                #expect(entries.last == 59)
                #expect(entries.count > 15)
            }
        }
    }

    @Test("damage in the last group before a seal is damage, and the next segment is read")
    func damageBeforeSeal() throws {
        let sample = try SampleStore.make(messages: 60, checkpoints: false)
        let index = sample.segments.count - 2
        let name = sample.file(index)
        let groups = sample.records(name).filter { $0.kind == 1 }
        let last = try #require(groups.last)
        try open(sample) { contents in
            contents[name]?[last.offset + 17] ^= 1
        } _: { report, entries in
            #expect(report.damage.first?.file == name)
            #expect(report.tornBytes == 0)
            #expect(entries == unsettled(1...60))
        }
    }

    @Test("a sealed segment cut at a group's end is damage, not an early end of the log")
    func cutAtGroup() throws {
        let sample = try SampleStore.make(messages: 60, checkpoints: false)
        let name = sample.file(1)
        let groups = sample.records(name).filter { $0.kind == 1 }
        let cut = try #require(groups.dropFirst(2).first).offset
        try open(sample) { contents in
            contents[name] = Array(contents[name]?[..<cut] ?? [])
        } _: { report, entries in
            #expect(report.damage.contains { $0.file == name && $0.offset == cut })
            #expect(report.damage.contains { $0.queue == "/queue/a" && !$0.entries.isEmpty })
            #expect(entries.last == 59)
        }
    }

    @Test(
        "a segment whose content is gone is reported and kept, for later ones prove that it was there"
    )
    func emptiedSegment() throws {
        let sample = try SampleStore.make(messages: 60, checkpoints: false)
        let name = sample.file(1)
        try open(sample) { contents in
            contents[name] = [UInt8](repeating: 0, count: 4096)
        } _: { report, entries in
            #expect(report.damage.first?.file == name)
            #expect(entries.last == 59)
        }
    }

    @Test("a log that ends before its checkpoint's position goes on in a new segment")
    func logShorterThanCheckpoint() throws {
        let sample = try SampleStore.make(messages: 60)
        let name = sample.file(sample.segments.count - 1)
        let groups = sample.records(name).filter { $0.kind == 1 }
        let cut = try #require(groups.last).offset
        try open(sample) { contents in
            contents[name] = Array(contents[name]?[..<cut] ?? [])
        } _: { report, entries in
            #expect(report.damage.contains { $0.file == name && $0.offset == cut })
            #expect(report.tornBytes == 0)
            #expect(!entries.isEmpty)
        }
    }

    @Test("a newer format in the log behind the checkpoint is refused by name")
    func newerSegment() throws {
        let sample = try SampleStore.make(messages: 60)
        let name = sample.file(sample.segments.count - 1)
        var failure: LogStoreError?
        do {
            try open(sample) { contents in
                var bytes = contents[name] ?? []
                bytes[8] = 4
                for index in 12..<16 { bytes[index] = 0 }
                let crc = Checksum.crc32c(0, bytes.span.bytes.extracting(0..<64))
                for index in 0..<4 { bytes[12 + index] = UInt8(crc >> (index * 8) & 0xFF) }
                contents[name] = bytes
            } _: { _, _ in
            }
        } catch let error as LogStoreError { failure = error }
        guard case .newerFormat(let file, 4, 3) = failure else {
            Issue.record("opened: \(String(describing: failure))")
            return
        }
        #expect(file.hasSuffix(name))
    }
}
