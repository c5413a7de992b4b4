import Base
import Testing

@testable import LogStore

/// The worked example of `docs/format.md`, "A segment by hand".
@Suite struct SegmentByHandTests {
    /// What the document's segment was made by.
    private func makeSegment(_ directory: String) throws {
        var store = try FormatStore(directory)
        let log = store.log
        let orders = log.declare("/queue/orders")
        let audit = log.declare("/queue/audit")
        store.send([orders], "n:1\n", "first", after: 1)
        store.run()
        store.send([orders, audit], "n:2\n", "to both", after: 2)
        log.settle(orders, EntrySequence(1), bytes: 9, reason: 1)
        store.run()
        log.beginUnit(bytes: 100)
        store.send([audit], "n:3\n", "moved", after: 3)
        log.settle(orders, EntrySequence(2), bytes: 11, reason: 3)
        log.endUnit()
        store.send([orders], "", "last", after: 4)
        log.roll()
        store.run()
        store.close()
    }

    @Test("the document's bytes decode by the document's rules to what was sent")
    func decodes() throws {
        let dump = try FormatDocument().dump("segment")
        var bytes: [UInt8] = []
        for line in dump {
            #expect(line.offset == bytes.count, "the offset of \(line.meaning)")
            bytes += line.bytes
        }
        let records = try HandDecoder(bytes: bytes).records()
        let expected = [
            "group 1 epoch 1 durable 1:0 bytes 200",
            "queue 1 next 1 /queue/orders",
            "queue 2 next 1 /queue/audit",
            "message at 1700000000001 to 1/1 [n:1\n] [first]",
        ]
        #expect(records.prefix(4).map(\.text) == expected)
        #expect(
            records.dropFirst(4).map { $0.text.split(separator: " durable")[0] } == [
                "group 2 epoch 1",
                "message at 1700000000002 to 1/2 2/1 [n:2\n] [to both]",
                "settle 1: 1+1 reason 1 bytes 9",
                "group 3 epoch 1",
                "message at 1700000000003 to 2/2 [n:3\n] [moved]",
                "settle 1: 2+1 reason 3 bytes 11",
                "unit end",
                "message at 1700000000004 to 1/3 [] [last]",
                "footer; queue 1 from 3 bytes 4 at 576; queue 2 from 1 bytes 20 at 312 464",
            ]
        )
        #expect(records.filter { $0.flags == 1 }.map(\.kind) == [2, 12])
    }

    @Test("the engine writes exactly the document's bytes")
    func engineWritesTheSame() throws {
        let dump = try FormatDocument().dump("segment")
        try withDirectory { directory in
            try makeSegment(directory)
            let written = try FormatDocument.read(directory + "/segment-0000000001.log")
            #expect(written == dump.flatMap(\.bytes))
        }
    }
}
