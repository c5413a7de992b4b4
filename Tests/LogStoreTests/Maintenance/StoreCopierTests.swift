import Base
import LogStore
import Testing
import TestSupport

/// One unsettled or settled entry of a store, as a reader hands it out.
struct ReadEntry: Equatable {
    let queue: String
    let sequence: UInt64
    let deliveryCount: UInt32
    let isSettled: Bool
    let time: UInt64
    let headers: [UInt8]
    let body: [UInt8]
}

private final class FoundEntries {
    var entries: [ReadEntry] = []
}

func entries(
    _ files: some FileSystem,
    _ directory: String,
    _ choice: EntryChoice = .unsettled
) throws -> [ReadEntry] {
    let found = FoundEntries()
    _ = try MessageReader.run(files, directory: directory, choice: choice) {
        message,
        headers,
        body in
        for entry in message.entries {
            found.entries.append(
                ReadEntry(
                    queue: entry.name,
                    sequence: entry.sequence.value,
                    deliveryCount: entry.deliveryCount,
                    isSettled: entry.isSettled,
                    time: message.time.milliseconds,
                    headers: headers.array(0..<headers.byteCount),
                    body: body.array(0..<body.byteCount)
                )
            )
        }
        return true
    }
    return found.entries
}

/// A new store on a simulated disk, written by a copier.
struct NewStore {
    static let directory = "/new"

    let files = SimulatedFileSystem(seed: 3)
    let builder: StoreBuilder<SimulatedFileSystem>

    init() throws {
        var generator = SeededGenerator(seed: 9)
        builder = try StoreBuilder(
            files,
            directory: Self.directory,
            segmentBytes: 4096,
            now: WallTime(milliseconds: 5),
            using: &generator
        )
    }

    func unsettled() throws -> [ReadEntry] { try entries(files, Self.directory) }

    func verdict() throws -> VerifierReport {
        try Verifier.run(files, directory: Self.directory)
    }
}

@Suite struct StoreCopierTests {
    @Test("a sound store is copied whole: order, times, headers, bodies and delivery counts")
    func sound() throws {
        let sample = try SampleStore.make(rest: 3)
        let new = try NewStore()
        let report = try StoreCopier.repair(sample.files, directory: "", into: new.builder)
        #expect(report.lost == [] && report.damage == [] && report.queues == 3)
        let old = try entries(sample.files, "")
        let copied = try new.unsettled()
        #expect(report.entries == old.count && !old.isEmpty)
        #expect(copied.map(\.body) == old.map(\.body))
        #expect(copied.map(\.queue) == old.map(\.queue))
        #expect(copied.map(\.time) == old.map(\.time))
        #expect(copied.map(\.headers) == old.map(\.headers))
        #expect(copied.map(\.deliveryCount) == old.map(\.deliveryCount))
        #expect(copied.contains { $0.deliveryCount == 3 })
        // A message of two queues stays one.
        #expect(report.messages < report.entries)
        #expect(try new.verdict().isSound)
    }

    @Test("whatever byte of a record is damaged, what is not copied is named as lost")
    func eachRecord() throws {
        let sample = try SampleStore.make(messages: 40, rest: 2)
        let old = try entries(sample.files, "")
        for index in sample.segments.indices {
            let file = sample.file(index)
            // Nobody vouches for the last group: damage in it looks like a write that was not finished.
            let isActive = index == sample.segments.count - 1
            let lastGroup = sample.records(file).filter { $0.kind == 1 }.last?.offset ?? 0
            for record in sample.records(file) {
                let damaged = sample.changed(file) { $0[record.offset + record.length / 2] ^= 0x40 }
                try check(
                    damaged,
                    old,
                    "\(file) at \(record.offset), kind \(record.kind)",
                    isUnvouched: isActive && record.offset >= lastGroup
                )
            }
        }
    }

    @Test("damaged checkpoints and headers cost nothing that stands in the segments")
    func headers() throws {
        let sample = try SampleStore.make()
        let damaged = sample.files.copy()
        for name in damaged.names where name.hasSuffix(".chk") { damaged[name]?[40] ^= 1 }
        for index in sample.segments.indices { damaged[sample.file(index)]?[3] ^= 1 }
        #expect(try !verify(damaged).isSound)
        let new = try NewStore()
        let report = try StoreCopier.repair(damaged, directory: "", into: new.builder)
        #expect(report.lost == [] && report.damage.count >= sample.segments.count)
        let copied = try new.unsettled()
        for entry in try entries(sample.files, "") {
            #expect(copied.contains { $0.queue == entry.queue && $0.body == entry.body })
        }
    }

    @Test("a settle record whose ranges are zeros or huge is damage like any other")
    func impossibleRanges() throws {
        let sample = try SampleStore.make(rest: 2)
        var damagedCount = 0
        for index in sample.segments.indices {
            let file = sample.file(index)
            for record in sample.records(file) where record.kind == RecordKind.settle.rawValue {
                for byte: UInt8 in [0, 0xFF] {
                    let damaged = sample.changed(file) { bytes in
                        // All but the first run's queue.
                        for at in record.offset + 20..<record.offset + record.length {
                            bytes[at] = byte
                        }
                    }
                    damagedCount += 1
                    // The report is printed by the daemon and the tool.
                    let text = try verify(damaged).damage.map(\.description)
                    #expect(text.contains { $0.contains(file) })
                    let new = try NewStore()
                    let report = try StoreCopier.repair(damaged, directory: "", into: new.builder)
                    #expect(report.lost == [] && report.damage.contains { $0.file == file })
                    #expect(try new.verdict().isSound)
                }
            }
        }
        #expect(damagedCount > 0)
    }

    @Test("a missing segment file is named with all entries that stood in it")
    func missingFile() throws {
        let sample = try SampleStore.make()
        let damaged = sample.files.copy()
        damaged[sample.file(1)] = nil
        try check(damaged, try entries(sample.files, ""), sample.file(1))
    }

    @Test("going back in time settles nothing that was settled later and keeps what was before")
    func rewind() throws {
        let sample = try SampleStore.make()
        let cut = WallTime(milliseconds: 1_700_000_000_030)
        let new = try NewStore()
        let report = try StoreCopier.rewind(
            sample.files,
            directory: "",
            until: cut,
            into: new.builder
        )
        #expect(report.cut.map { $0.segment < sample.segments.count } == true)
        #expect(report.damage == [])
        #expect(report.lost == [])
        let copied = try new.unsettled()
        #expect(copied.allSatisfy { $0.time <= cut.milliseconds })
        let all = try entries(sample.files, "", .all).filter { $0.time <= cut.milliseconds }
        // Of queue a every third entry is settled, in a record at the end of its turn of four; the
        // turn of the cut had not ended. Of b none ever is.
        let expected = all.filter {
            $0.queue != "/queue/a" || $0.sequence % 3 != 0 || $0.sequence > 28
        }
        #expect(copied.map(\.body) == expected.map(\.body))
        #expect(try new.verdict().isSound)
    }

    @Test("a store is not built where one is")
    func exists() throws {
        let new = try NewStore()
        try new.builder.finish()
        var generator = SeededGenerator(seed: 1)
        #expect(throws: LogStoreError.self) {
            try StoreBuilder(
                new.files,
                directory: NewStore.directory,
                now: WallTime(milliseconds: 1),
                using: &generator
            )
        }
    }

    private func check(
        _ damaged: MemoryFiles,
        _ old: [ReadEntry],
        _ place: String,
        isUnvouched: Bool = false
    ) throws {
        let new = try NewStore()
        let report = try StoreCopier.repair(damaged, directory: "", into: new.builder)
        #expect(isUnvouched || !report.damage.isEmpty, "\(place)")
        let copied = try new.unsettled()
        var lost: Set<String> = []
        for item in report.lost {
            for range in item.entries {
                for sequence in range.first..<range.first + UInt64(range.count) {
                    lost.insert("\(item.queue ?? "")#\(sequence)")
                }
            }
        }
        for entry in old
        where !copied.contains(where: {
            $0.queue == entry.queue && $0.body == entry.body && $0.headers == entry.headers
        }) {
            #expect(
                isUnvouched && entry == old.last
                    || lost.contains("\(entry.queue)#\(entry.sequence)"),
                "\(place): \(entry.sequence)"
            )
        }
        for queue in Set(copied.map(\.queue)) {
            let times = copied.filter { $0.queue == queue }.map(\.time)
            #expect(times == times.sorted(), "\(place): the order of \(queue)")
        }
        #expect(try new.verdict().isSound, "\(place)")
    }
}
