import Base
import LogStore
import Testing

@Suite struct VerifierAttributionTests {
    /// The damage of one flipped bit in the body of the message record with that index in a file.
    private func damage(
        _ sample: SampleStore,
        _ name: String,
        message index: Int,
        byte: Int = 45
    ) throws -> (report: VerifierReport, entries: [String: [UInt64]]) {
        let messages = sample.records(name).filter { $0.kind == 2 }
        let record = messages[index < 0 ? messages.count + index : index]
        let report = try verify(sample.changed(name) { $0[record.offset + byte] ^= 16 })
        let offsets = Set(report.damage.map(\.offset))
        #expect(offsets == [record.offset])
        var entries: [String: [UInt64]] = [:]
        for item in report.damage {
            entries[item.queue ?? "", default: []] += item.entries.flatMap { range in
                (0..<UInt64(range.count)).map { range.first + $0 }
            }
        }
        return (report, entries)
    }

    /// The entries that the message record with that index has by its own bytes.
    private func entries(
        _ sample: SampleStore,
        _ name: String,
        message index: Int
    ) -> [String: [UInt64]] {
        let bytes = sample.files[name] ?? []
        let messages = sample.records(name).filter { $0.kind == 2 }
        let at = messages[index < 0 ? messages.count + index : index].offset
        var entries: [String: [UInt64]] = [:]
        for entry in 0..<Int(bytes[at + 10]) {
            let start = at + 28 + entry * 12
            let queue = bytes[start] == 1 ? "/queue/a" : "/queue/b"
            let sequence = (0..<8).reduce(UInt64(0)) {
                $0 | UInt64(bytes[start + 4 + $1]) << ($1 * 8)
            }
            entries[queue, default: []].append(sequence)
        }
        return entries
    }

    @Test("every damaged message of every segment is told by queue and entry", arguments: [40, 60])
    func everyMessage(messages: Int) throws {
        let sample = try SampleStore.make(messages: messages)
        for index in sample.segments.indices {
            let name = sample.file(index)
            for message in 0..<sample.records(name).filter({ $0.kind == 2 }).count {
                let found = try damage(sample, name, message: message)
                #expect(
                    found.entries == entries(sample, name, message: message),
                    "message \(message) of \(name)"
                )
            }
        }
    }

    @Test("where the head of a record is destroyed too, the gap in its queue tells the entry")
    func destroyedHead() throws {
        let sample = try SampleStore.make(messages: 60)
        let name = sample.file(1)
        let messages = sample.records(name).filter { $0.kind == 2 }
        for message in 1..<messages.count - 1 {
            let record = messages[message]
            let report = try verify(
                sample.changed(name) { bytes in
                    for offset in record.offset..<record.offset + record.length {
                        bytes[offset] = 0
                    }
                }
            )
            let expected = entries(sample, name, message: message)
            for (queue, sequences) in expected {
                let item = report.damage.first { $0.queue == queue }
                #expect(item?.offset == record.offset)
                #expect(item?.entries.first?.first == sequences.first)
            }
        }
    }

    @Test("a damaged settle record names the entries that may come again")
    func settleRecord() throws {
        let sample = try SampleStore.make(messages: 60)
        let name = sample.file(1)
        let record = try #require(
            sample.records(name).first { $0.kind == RecordKind.settle.rawValue }
        )
        let report = try verify(sample.changed(name) { $0[record.offset + 32] ^= 1 })
        let item = try #require(report.damage.first)
        #expect(item.queue == "/queue/a")
        #expect(item.entries.isEmpty == false)
        #expect(item.reason.contains("delivered again"))
    }

    @Test("two damaged messages of different queues are not mixed up")
    func twoRecords() throws {
        let sample = try SampleStore.make(messages: 60)
        let name = sample.file(1)
        let messages = sample.records(name).filter { $0.kind == 2 }
        let pair = [2, 5]
        let report = try verify(
            sample.changed(name) { bytes in
                for index in pair { bytes[messages[index].offset + 44] ^= 1 }
            }
        )
        for index in pair {
            for (queue, sequences) in entries(sample, name, message: index) {
                let item = report.damage.first {
                    $0.offset == messages[index].offset && $0.queue == queue
                }
                #expect(item?.entries.map(\.first) == sequences)
            }
        }
    }
}
