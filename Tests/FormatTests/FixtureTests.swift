import Base
import Testing

@testable import LogStore

/// Stores that earlier versions wrote; they are never made again.
///
/// `v1` has two segments of up to 8 KiB and a checkpoint in the second one with records behind it:
/// 120 messages `message N` with the header `n:N` to `/queue/orders`, every third also to
/// `/queue/audit`; of `/queue/orders` 1...20 and 33 settled, 30 requeued after 4 deliveries;
/// `/queue/gone` declared and deleted; then an atomic unit that moved entry 40 to `/queue/audit`.
///
/// `v2`, with checkpoints of version 2, has four packed segments and an active one: of 300 messages
/// (`message N ` twenty times, header `n:N`) to `/queue/orders` every tenth is unsettled.
///
/// `v3-packed` is the same, with packed segments of version 2 in Zstandard's compression, two of them.
///
/// `v3`, with checkpoints of version 3, has three segments that `retain` keeps: of 120 messages
/// (`message N`, header `n:1`) to `/queue/orders` only number 70 is unsettled; the rest was settled
/// before 2023-11-14T22:13:23Z.
///
/// `v4`, with segments of version 2 and checkpoints of version 4, has 60 messages (`message N`, header
/// `n:N`, taken at `FormatStore.time` + N) to `/queue/orders`, which expire 1000 s + N s after
/// `FormatStore.time` where N is even; every third went to `/queue/audit`, too. Of `/queue/orders`
/// 1...10 are settled; entry 12 came back twice and waits until 2000 s after, 13 was rejected at its
/// first delivery. The last ten messages stand behind the checkpoint, and so does the return of 14,
/// which waits until 3000 s after.
@Suite struct FixtureTests {
    private func withCopy(_ version: String, _ body: (String) throws -> Void) throws {
        let fixture = FormatDocument.root + "/Tests/FormatTests/Fixtures/" + version
        let files = PosixFileSystem()
        try withDirectory { directory in
            for name in try files.list(fixture) {
                let bytes = try FormatDocument.read(fixture + "/" + name)
                let file = try files.open(directory + "/" + name, .create)
                defer { files.close(file) }
                try files.write(file, at: 0, bytes.span.bytes)
            }
            try body(directory)
        }
    }

    private func check(_ directory: String) throws {
        var store = try FormatStore(directory)
        defer { store.close() }
        let log = store.log
        #expect(log.queueNames.map(\.name) == ["/queue/orders", "/queue/audit"])
        let orders = log.queueNames[0].id
        let audit = log.queueNames[1].id
        let inOrders = try bodies(&store, orders)
        let unsettled = (21...120).filter { $0 != 33 && $0 != 40 }
        #expect(inOrders.map(\.0) == unsettled.map { UInt64($0) })
        #expect(inOrders.map(\.1) == unsettled.map { "n:\($0)\n|message \($0)" })
        #expect(inOrders.filter { $0.2 > 0 }.map { "\($0.0) \($0.2)" } == ["30 4"])
        let inAudit = try bodies(&store, audit)
        let expected = (1...40).map { "n:\($0 * 3)\n|message \($0 * 3)" } + ["n:40\n|message 40"]
        #expect(inAudit.map(\.1) == expected)
    }

    private func bodies(
        _ store: inout FormatStore,
        _ queue: QueueID
    ) throws -> [(UInt64, String, UInt32)] {
        var found: [(UInt64, String, UInt32)] = []
        var next = EntrySequence(1)
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        while next < store.log.depth(queue)?.next ?? next {
            let start = store.log.fetch(queue, from: next, messagesMax: 64, bytesMax: 1 << 16) {
                entry,
                headers,
                body in
                let whole =
                    headers.array(0..<headers.byteCount) + [0x7C] + body.array(0..<body.byteCount)
                found.append((entry.sequence.value, text(whole), entry.deliveryCount))
            }
            switch start {
            case .completed(let after): next = after
            case .pending:
                store.run()
                for case .fetched(let result) in store.log.takeNotices() {
                    for item in result.items {
                        let whole =
                            result.bytes[item.headers] + [0x7C] + result.bytes[item.body]
                        found.append((item.sequence.value, text(Array(whole)), item.deliveryCount))
                    }
                    #expect(result.damage == [])
                    next = result.next
                }
            }
        }
        return found
    }

    @Test("a store of version 1 opens with everything in it")
    func version1() throws {
        try withCopy("v1") { directory in
            let report = try Verifier.run(PosixFileSystem(), directory: directory)
            #expect(report.isSound && report.segments == 2 && report.checkpointInUse != nil)
            try check(directory)
        }
    }

    @Test("a store of version 1 opens without its checkpoint too")
    func version1WithoutCheckpoint() throws {
        try withCopy("v1") { directory in
            for name in try PosixFileSystem().list(directory) where name.hasSuffix(".chk") {
                try PosixFileSystem().remove(directory + "/" + name)
            }
            try check(directory)
        }
    }

    @Test(
        "a store with packed segments opens with everything in it, also without checkpoints",
        arguments: [("v2", 4), ("v3-packed", 2)],
        [true, false]
    )
    func packedSegments(fixture: (name: String, packed: Int), hasCheckpoints: Bool) throws {
        try withCopy(fixture.name) { directory in
            let files = PosixFileSystem()
            for name in try files.list(directory) where name.hasSuffix(".chk") && !hasCheckpoints {
                try files.remove(directory + "/" + name)
            }
            let report = try Verifier.run(files, directory: directory)
            #expect(report.isSound && report.packedSegments == fixture.packed)
            var store = try FormatStore(directory)
            defer { store.close() }
            #expect(store.log.queueNames.map(\.name) == ["/queue/orders"])
            let found = try bodies(&store, store.log.queueNames[0].id)
            #expect(found.map(\.0) == stride(from: UInt64(10), through: 300, by: 10).map { $0 })
            for (sequence, text, _) in found {
                let body = String(repeating: "message \(sequence) ", count: 20)
                #expect(text.hasSuffix("|" + body) && text.contains("n:\(sequence)\n"))
            }
        }
    }

    @Test("what an older program could not read stands in segments of the new version")
    func newRecords() throws {
        try withCopy("v4") { directory in
            var store = try FormatStore(directory)
            let orders = store.log.queueNames[0].id
            let settled = try #require(store.log.depth(orders)?.first)
            store.log.settle(orders, settled, bytes: nil, reason: 1)
            store.run()
            store.close()
            var versions: [UInt8: [UInt32]] = [:]
            let files = PosixFileSystem()
            for name in try files.list(directory) where name.hasPrefix("segment-") {
                let bytes = try FormatDocument.read(directory + "/" + name)
                let header = try SegmentHeader.decode(bytes.span.bytes)
                var at = SegmentHeader.byteCount
                while let record = RecordHeader(bytes.span.bytes, at: at) {
                    versions[record.kind.rawValue, default: []].append(header.version)
                    at += record.length
                }
            }
            #expect(versions[RecordKind.settle.rawValue] == [3])
            #expect(Set(versions[RecordKind.settleOfQueue.rawValue] ?? []) == [2])
            #expect(try Verifier.run(files, directory: directory).isSound)
        }
    }

    @Test(
        "times of messages and of returned entries are read from a store of version 4",
        arguments: [true, false]
    )
    func times(hasCheckpoints: Bool) throws {
        try withCopy("v4") { directory in
            let files = PosixFileSystem()
            for name in try files.list(directory) where name.hasSuffix(".chk") && !hasCheckpoints {
                try files.remove(directory + "/" + name)
            }
            #expect(try Verifier.run(files, directory: directory).isSound)
            var store = try FormatStore(directory)
            defer { store.close() }
            let orders = store.log.queueNames[0].id
            let time = FormatStore.time
            let requeued = store.log.requeued(orders)
            #expect(requeued.map(\.sequence.value) == [12, 13, 14])
            #expect(
                requeued.map(\.requeue) == [
                    Requeue(deliveryCount: 2, due: time + 2_000_000),
                    Requeue(deliveryCount: 1, isRejected: true),
                    Requeue(deliveryCount: 1, due: time + 3_000_000),
                ]
            )
            var found: [ReadEntry] = []
            var next = EntrySequence(1)
            while next.value <= 60 {
                let start = store.log.fetch(orders, from: next, messagesMax: 9, bytesMax: 4096) {
                    entry,
                    _,
                    _ in
                    found.append(entry)
                }
                if case .completed(let after) = start {
                    next = after
                } else {
                    store.run()
                    for case .fetched(let result) in store.log.takeNotices() {
                        found += result.items.map(\.entry)
                        next = result.next
                    }
                }
            }
            #expect(found.map(\.sequence.value) == (11...60).map { UInt64($0) })
            for entry in found {
                let number = entry.sequence.value
                #expect(entry.time == time + number)
                #expect(entry.expires == (number % 2 == 0 ? time + 1_000_000 + number * 1000 : 0))
            }
            for run in store.log.times(orders) {
                #expect(run.taken >= time && run.taken <= time + run.first.value)
                #expect(run.expires <= time + 1_000_000 + (run.first.value + 1) * 1000)
            }
        }
    }

    @Test("what retain keeps can be read from a store of version 3, and its time is known")
    func retained() throws {
        try withCopy("v3") { directory in
            let files = PosixFileSystem()
            #expect(try Verifier.run(files, directory: directory).isSound)
            let inspected = try Inspector.run(files, directory: directory)
            let kept = inspected.segments.compactMap { segment -> UInt64? in
                if case .retained(let since) = segment.keep { since } else { nil }
            }
            #expect(kept.count == 1 && kept[0] / 10_000 == 170_000_000)
            let settled = Counter()
            _ = try MessageReader.run(files, directory: directory, choice: .settled) { _, _, _ in
                settled.count += 1
                return true
            }
            #expect(settled.count == 119)
            var store = try FormatStore(directory)
            defer { store.close() }
            let found = try bodies(&store, store.log.queueNames[0].id)
            #expect(found.map(\.1) == ["n:1\n|message 70"])
        }
    }
}

private final class Counter {
    var count = 0
}
