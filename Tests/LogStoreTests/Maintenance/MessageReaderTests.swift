import Base
import LogStore
import Testing

@Suite struct MessageReaderTests {
    @Test("every entry comes once, in the order of its queue, and its status is right")
    func all() throws {
        let sample = try SampleStore.make(rest: 2)
        let found = try entries(sample.files, "", .all)
        for queue in ["/queue/a", "/queue/b"] {
            let sequences = found.filter { $0.queue == queue }.map(\.sequence)
            #expect(sequences == Array(1...UInt64(sequences.count)))
        }
        let settled = found.filter(\.isSettled)
        #expect(!settled.isEmpty)
        #expect(settled.allSatisfy { $0.queue == "/queue/a" && $0.sequence % 3 == 0 })
        #expect(try entries(sample.files, "", .settled) == settled)
        #expect(try entries(sample.files, "", .unsettled) == found.filter { !$0.isSettled })
    }

    @Test("reading ends when the taker has enough")
    func ends() throws {
        let sample = try SampleStore.make()
        var count = 0
        try withoutActuallyEscaping({ (_: StoredMessage, _: RawSpan, _: RawSpan) -> Bool in
            count += 1
            return count < 5
        }) { take in
            _ = try MessageReader.run(sample.files, directory: "", take: take)
        }
        #expect(count == 5)
    }

    @Test("a unit whose end is missing is not there")
    func openUnit() throws {
        let sample = try SampleStore.make(messages: 4, rest: 0, checkpoints: false)
        let file = sample.file(sample.segments.count - 1)
        let before = try entries(sample.files, "", .all).count
        let messages = sample.records(file).filter { $0.kind == 2 }
        let last = try #require(messages.last)
        let cut = sample.changed(file) { bytes in
            for index in last.offset..<bytes.count { bytes[index] = 0 }
        }
        #expect(try entries(cut, "", .all).count < before)
    }

    @Test("damage on the way is reported, and the other messages come")
    func damage() throws {
        let sample = try SampleStore.make()
        let file = sample.file(0)
        let record = try #require(sample.records(file).first { $0.kind == 2 })
        let damaged = sample.changed(file) { $0[record.offset + 40] ^= 1 }
        var count = 0
        let report = try withoutActuallyEscaping(
            { (_: StoredMessage, _: RawSpan, _: RawSpan) -> Bool in
                count += 1
                return true
            }
        ) { take in try MessageReader.run(damaged, directory: "", take: take) }
        #expect(report.damage.map(\.file) == [file])
        var records = 0
        for index in sample.segments.indices {
            records += sample.records(sample.file(index)).count { $0.kind == 2 }
        }
        #expect(count == records - 1)
    }

    @Test("the record reader hands out all records, with damage in its place")
    func records() throws {
        let sample = try SampleStore.make()
        let file = sample.file(0)
        let all = sample.records(file)
        let damaged = sample.changed(file) { $0[all[3].offset + 20] ^= 1 }
        var kinds: [String] = []
        try withoutActuallyEscaping(
            { (placed: PlacedRecord, _: RawSpan, _: (UInt32) -> String?) -> Bool in
                guard FileNames.segment(placed.position.segment) == file else { return true }
                if case .damage = placed.record {
                    kinds.append("damage at \(placed.position.offset)")
                } else {
                    kinds.append("record at \(placed.position.offset)")
                }
                return true
            }
        ) { take in _ = try RecordReader.run(damaged, directory: "", take: take) }
        let expected = all.map { record in
            (record.offset == all[3].offset ? "damage" : "record") + " at \(record.offset)"
        }
        #expect(kinds == expected)
    }
}
