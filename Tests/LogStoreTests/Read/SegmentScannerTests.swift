import Base
import Testing
import TestSupport

@testable import LogStore

@Suite struct SegmentScannerTests {
    private let store = StoreID(high: 1, low: 2)

    /// A segment's bytes, put together group by group.
    private struct Builder {
        let seed: UInt32
        var bytes = [UInt8](repeating: 0, count: SegmentHeader.byteCount)

        /// Appends a group with so many records of 32 bytes; returns where it begins.
        @discardableResult
        mutating func group(
            _ number: UInt64,
            epoch: UInt64 = 1,
            durable: Int = 0,
            records: Int = 2
        ) -> Int {
            let start = bytes.count
            let record = GroupRecord(
                number: number,
                epoch: epoch,
                durable: LogPosition(segment: durable > 0 ? 1 : 0, offset: durable),
                groupBytes: GroupRecord.length + records * RequeueRecord.length
            )
            let groupSeed = Checksum.seed(seed, at: start)
            bytes += [UInt8].encoded(count: GroupRecord.length) {
                record.append(to: &$0, seed: groupSeed)
            }
            for index in 0..<records {
                let record = RequeueRecord(
                    queue: QueueID(1),
                    sequence: UInt64(index),
                    Requeue(deliveryCount: 1)
                )
                let recordSeed = Checksum.seed(seed, at: bytes.count)
                bytes += [UInt8].encoded(count: RequeueRecord.length) {
                    record.append(to: &$0, flags: 0, seed: recordSeed)
                }
            }
            return start
        }
    }

    private var builder: Builder { Builder(seed: store.seed(ofSegment: 1)) }

    /// The events of a scan: a group's number, "record", a damaged range, or the end.
    private func events(_ bytes: [UInt8], _ start: ScanStart = ScanStart()) throws -> [String] {
        let files = SimulatedFileSystem(seed: 1)
        let file = try files.open("/segment", .create)
        try files.write(file, at: 0, bytes.span.bytes)
        var scanner = SegmentScanner(
            try BlockReader(files, file, blockBytes: 100),
            segment: 1,
            store: store,
            start: start
        )
        var events: [String] = []
        while true {
            switch try scanner.next() {
            case .group(let group): events.append("group \(group.number)")
            case .record: events.append("record")
            case .damage(let range, _): events.append("damage \(range)")
            case .end(let end):
                events.append("\(end)")
                return events
            }
        }
    }

    @Test("a log ends clean after its last group, whatever zeros follow", arguments: [0, 8, 1_000])
    func clean(zeros: Int) throws {
        var log = builder
        log.group(1)
        log.group(2, records: 1)
        log.bytes += [UInt8](repeating: 0, count: zeros)
        #expect(
            try events(log.bytes) == ["group 1", "record", "record", "group 2", "record", "clean"]
        )
    }

    @Test("a group that stops in its middle is torn", arguments: [1, 31, 32, 50])
    func torn(missing: Int) throws {
        var log = builder
        log.group(1)
        log.group(2)
        log.bytes.removeLast(missing)
        #expect(try events(log.bytes).last == "torn")
    }

    @Test("a bad record that a later group vouches for is damage, and costs nothing else")
    func damage() throws {
        var log = builder
        let first = log.group(1)
        let second = log.group(2)
        log.group(3, durable: second)
        let hit = first + GroupRecord.length
        log.bytes[hit + 20] ^= 4
        #expect(
            try events(log.bytes) == [
                "group 1", "damage \(hit..<hit + 32)", "record", "group 2", "record", "record",
                "group 3", "record", "record", "clean",
            ]
        )
    }

    @Test("a bad group header does not cost its records, as far as any later group vouches")
    func damagedGroup() throws {
        var log = builder
        log.group(1)
        let second = log.group(2)
        // The first that vouches for more vouches for little; the last for all.
        log.group(3, durable: second + 16)
        let fourth = log.group(4, durable: second)
        log.group(5, durable: fourth)
        log.bytes[second + 20] ^= 4
        let events = try events(log.bytes)
        #expect(events.count { $0 == "record" } == 10)
        #expect(events.contains("damage \(second..<second + 48)"))
    }

    @Test("a bad record that nobody vouches for ends the log")
    func unvouched() throws {
        var log = builder
        log.group(1)
        let second = log.group(2)
        log.bytes[second + 60] ^= 4
        #expect(try events(log.bytes) == ["group 1", "record", "record", "group 2", "torn"])
    }

    @Test("a group of a later life may begin inside the one that it cut off")
    func cutByLaterEpoch() throws {
        var log = builder
        let start = log.group(1, records: 3)
        let rest = Array(log.bytes[(start + 80)...])
        log.bytes.removeLast(rest.count)
        log.group(2, epoch: 2, records: 1)
        #expect(try events(log.bytes) == ["group 1", "record", "group 2", "record", "clean"])
    }

    @Test("what an earlier life left behind the end is not read")
    func leftovers() throws {
        var log = builder
        log.group(1, epoch: 2)
        log.group(2, epoch: 1)
        #expect(try events(log.bytes) == ["group 1", "record", "record", "clean"])
        log = builder
        log.group(1)
        log.group(3)
        #expect(try events(log.bytes) == ["group 1", "record", "record", "clean"])
    }

    @Test("after damage, what an earlier life left behind the end is not read either")
    func leftoversAfterDamage() throws {
        var log = builder
        // A group that was cut off after one record; the next life ends where another of them stands.
        let start = log.group(1, records: 8)
        let old = log.bytes
        log.bytes.removeLast(old.count - (start + 80))
        let second = log.group(2, epoch: 2, records: 1)
        log.group(3, epoch: 2, durable: second + 80, records: 1)
        let end = log.bytes.count
        log.bytes += old[end...]
        #expect(try events(log.bytes).count { $0 == "record" } == 3)
        log.bytes[second + 20] ^= 4
        #expect(try events(log.bytes).count { $0 == "record" } == 3)
        #expect(try events(log.bytes).last == "clean")
    }

    @Test(
        "damage up to the end goes as far as the log is known to have gone, not to the file's end"
    )
    func damageAtTheEnd() throws {
        var log = builder
        let first = log.group(1)
        let end = log.bytes.count
        log.bytes += [UInt8](repeating: 0, count: 1_000)
        for offset in stride(from: first, to: end, by: 8) { log.bytes[offset + 4] ^= 4 }
        var start = ScanStart()
        start.durable = LogPosition(segment: 1, offset: end)
        #expect(try events(log.bytes, start) == ["damage \(first..<end)", "clean"])
    }

    @Test("records of another segment are not read")
    func otherSegment() throws {
        var log = Builder(seed: store.seed(ofSegment: 2))
        log.group(1)
        #expect(try events(log.bytes) == ["clean"])
    }

    @Test("behind damage, a checkpoint's number and epoch tell what an earlier life left")
    func leftoversBehindACheckpoint() throws {
        var log = builder
        log.group(1)
        let second = log.group(2)
        // The life before wrote further, as far as its own fourth group.
        var old = log
        old.group(3)
        let fourth = old.group(4, durable: second)
        log.group(3, epoch: 2, records: 1)
        let end = log.bytes.count
        log.bytes += old.bytes[end...]
        for offset in stride(from: second, to: end, by: 8) { log.bytes[offset + 4] ^= 4 }
        var start = ScanStart()
        start.durable = LogPosition(segment: 1, offset: end)
        #expect(try events(log.bytes, start).contains("group 4"))
        for (nextGroup, epoch) in [(UInt64(3), UInt64(2)), (5, 1)] {
            start.floor = ScanStart.Floor(offset: end, nextGroup: nextGroup, epoch: epoch)
            #expect(
                try events(log.bytes, start)
                    == ["group 1", "record", "record", "damage \(second..<end)", "clean"]
            )
        }
        // It says nothing of what stands before its position.
        start.floor = ScanStart.Floor(offset: fourth + 1, nextGroup: 5, epoch: 2)
        #expect(try events(log.bytes, start).contains("group 4"))

        // A later segment vouches for this one, and not for the records that were left in its file.
        start.floor = ScanStart.Floor(offset: end, nextGroup: 3, epoch: 2)
        start.durable = LogPosition(segment: 2, offset: 0)
        let found = try events(log.bytes, start)
        #expect(found.count { $0 == "record" } == 2 && found.last == "clean")
    }

    @Test("behind a checkpoint, records whose group's header is damaged count if the log went on")
    func recordsWithoutHeader() throws {
        var log = builder
        log.group(1)
        let second = log.group(2, epoch: 2)
        var start = ScanStart()
        start.durable = LogPosition(segment: 2, offset: 0)
        start.floor = ScanStart.Floor(offset: second, nextGroup: 2, epoch: 2)
        log.bytes[second + 20] ^= 4
        #expect(try events(log.bytes, start).count { $0 == "record" } == 2)
        log.group(3, epoch: 2, records: 1)
        #expect(try events(log.bytes, start).count { $0 == "record" } == 5)
    }
}
