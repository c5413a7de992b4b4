import Base
import Glibc
import LogStore
import Testing

@Suite struct InspectorTests {
    @Test("segments, queues and totals are told as the next start would find them")
    func inspects() throws {
        let sample = try SampleStore.make(messages: 60, rest: 2)
        let files = sample.files.copy()
        files[FileNames.spare(99)] = [0, 0, 0]
        let report = try Inspector.run(files, directory: "")
        #expect(report.damage == [] && report.notes == [])
        #expect(report.segments.map(\.number) == sample.segments)
        #expect(report.segments.map(\.isSealed).last == false)
        let sealed = report.segments.filter(\.isSealed)
        #expect(sealed.count == report.segments.count - 1)
        #expect(report.segments.last?.keep == .active)
        for (left, right) in zip(report.segments, report.segments.dropFirst()) {
            #expect(left.lastGroup.map { $0 + 1 } == right.firstGroup)
            #expect(left.usedBytes == left.fileBytes)
        }
        #expect(report.segments.last?.usedBytes == sample.activeBytes)
        let a = try #require(report.queues.first { $0.name == "/queue/a" })
        #expect(a.messages == 62 - 20)
        #expect(a.next == EntrySequence(63))
        #expect(a.oldest == EntrySequence(1))
        #expect(a.oldestMilliseconds == 1_700_000_000_001)
        let empty = try #require(report.queues.first { $0.name == "/queue/empty" })
        #expect(empty.messages == 0 && empty.oldest == nil && empty.next == EntrySequence(1))
        #expect(report.messages == 62 - 20 + 36)
        #expect(report.liveBytes == report.queues.reduce(0) { $0 + $1.bytes })
        #expect(report.checkpointInUse != nil)
        #expect(report.spareFiles == files.names.count { $0.hasPrefix("spare-") })
    }

    @Test("a held lock refuses both verbs, unless they read beside the daemon")
    func inUse() throws {
        let sample = try SampleStore.make(messages: 30)
        sample.files.holdLock()
        #expect(throws: LogStoreError.inUse(directory: "")) {
            try Verifier.run(sample.files, directory: "")
        }
        #expect(throws: LogStoreError.inUse(directory: "")) {
            try Inspector.run(sample.files, directory: "")
        }
        let verified = try Verifier.run(sample.files, directory: "", isLive: true)
        let inspected = try Inspector.run(sample.files, directory: "", isLive: true)
        #expect(verified.isSound)
        #expect(inspected.damage == [])
    }

    @Test("an open store is refused, read beside, and left as it was")
    func beside() throws {
        try withTemporaryDirectory { directory in
            let files = PosixFileSystem()
            let store = try InlineStore(files, directory, SampleStore.options)
            let queue = store.store.declare("/queue/a")
            let body = [UInt8](repeating: 1, count: 300)
            for _ in 0..<40 {
                _ = store.store.enqueue(
                    headers: body.span.bytes.extracting(0..<0),
                    body: body.span.bytes,
                    to: queue,
                    at: WallTime(milliseconds: 1)
                )
                store.run()
            }
            let before = try files.list(directory).sorted()
            #expect(throws: LogStoreError.inUse(directory: directory)) {
                try Verifier.run(files, directory: directory)
            }
            let report = try Verifier.run(files, directory: directory, isLive: true)
            #expect(report.isSound && report.unsettled == 40)
            let beside = try files.list(directory).sorted()
            #expect(beside == before)
            store.close()
            let closed = try Verifier.run(files, directory: directory)
            let after = try files.list(directory).sorted()
            #expect(closed.isSound)
            #expect(after == before)
        }
    }

    @Test("a directory without a store is refused, and nothing appears in it")
    func noStore() throws {
        try withTemporaryDirectory { directory in
            let files = PosixFileSystem()
            #expect(throws: LogStoreError.self) { try Verifier.run(files, directory: directory) }
            #expect(throws: LogStoreError.self) { try Inspector.run(files, directory: directory) }
            let names = try files.list(directory)
            #expect(names.isEmpty)
        }
        #expect(throws: LogStoreError.self) {
            try Verifier.run(PosixFileSystem(), directory: "/nonexistent-radiator-store")
        }
    }

    @Test(
        "a newer format is refused by name, in segments and in checkpoints",
        arguments: [0, 1, 2]
    )
    func newerFormat(which: Int) throws {
        let sample = try SampleStore.make(messages: 60)
        let checkpoint = try #require(sample.files.names.last { $0.hasSuffix(".chk") })
        let name = [sample.file(1), sample.file(sample.segments.count - 1), checkpoint][which]
        let newer = sample.changed(name) { bytes in
            bytes[8] = 9
            for index in 12..<16 { bytes[index] = 0 }
            let covered = which == 2 ? bytes.count : 64
            let crc = Checksum.crc32c(0, bytes.span.bytes.extracting(0..<covered))
            for index in 0..<4 { bytes[12 + index] = UInt8(crc >> (index * 8) & 0xFF) }
        }
        #expect(
            throws: LogStoreError.newerFormat(
                file: "/" + name,
                version: 9,
                supported: which == 2 ? 4 : 3
            )
        ) {
            try verify(newer)
        }
    }

    @Test("a segment of another store is refused by name")
    func mixedStores() throws {
        let sample = try SampleStore.make(messages: 60)
        let name = sample.file(sample.segments.count - 1)
        let mixed = sample.changed(name) { bytes in
            bytes[16] ^= 1
            for index in 12..<16 { bytes[index] = 0 }
            let crc = Checksum.crc32c(0, bytes.span.bytes.extracting(0..<64))
            for index in 0..<4 { bytes[12 + index] = UInt8(crc >> (index * 8) & 0xFF) }
        }
        #expect(throws: LogStoreError.mixedStores(file: "/" + name)) { try verify(mixed) }
    }

    @Test("a file of another store behind the log's end is refused, too")
    func foreignBehindEnd() throws {
        let sample = try SampleStore.make(messages: 60)
        let strange = sample.changed(sample.file(0)) { bytes in
            bytes[16] ^= 1
            bytes[32] = 99
            for index in 12..<16 { bytes[index] = 0 }
            let crc = Checksum.crc32c(0, bytes.span.bytes.extracting(0..<64))
            for index in 0..<4 { bytes[12 + index] = UInt8(crc >> (index * 8) & 0xFF) }
        }
        let mixed = sample.files.copy()
        mixed[FileNames.segment(99)] = strange[sample.file(0)]
        let error = LogStoreError.mixedStores(file: "/" + FileNames.segment(99))
        #expect(throws: error) { try verify(mixed) }
    }

    @Test("a segment under another's name is told from a file that was made ready")
    func renamedSegment() throws {
        let sample = try SampleStore.make(messages: 60)
        let renamed = sample.files.copy()
        renamed[FileNames.segment(99)] = renamed[sample.file(1)]
        renamed[sample.file(1)] = nil
        #expect {
            try verify(renamed)
        } throws: { error in
            "\(error)".contains("its name must be \(sample.file(1))")
        }
        // A copy whose original is there holds nothing that is missed.
        renamed[sample.file(1)] = renamed[FileNames.segment(99)]
        #expect(try verify(renamed).damage == [])
    }
}
