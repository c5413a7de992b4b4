import Base
import Testing

@testable import LogStore

/// The tables of `docs/format.md` against what `Sources/LogStore/Format` writes.
@Suite struct FormatTableTests {
    private let document: FormatDocument
    private let seed: UInt32 = 0x1234_5678

    init() throws {
        document = try FormatDocument()
    }

    /// A number as little-endian bytes.
    private func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    /// Checks that each field of the table stands in `encoded` where the table puts it, that the rows
    /// follow each other without gaps, and that they end where the record's padding begins.
    private func check(
        _ table: String,
        _ encoded: [UInt8],
        _ fields: [String: [UInt8]],
        sizes: [String: Int] = [:],
        padding: Int = 0
    ) {
        let rows = document.table(table)
        #expect(!rows.isEmpty, "no table \(table)")
        #expect(Set(rows.map { $0[2] }) == Set(fields.keys))
        var end = Int(rows.first?[0] ?? "") ?? 0
        for row in rows {
            let field = row[2]
            let value = fields[field] ?? []
            let size = Int(row[1]) ?? sizes[row[1]] ?? -1
            let offset = row[0] == "length − 8" ? encoded.count - 8 : Int(row[0]) ?? end
            if row[0] != "length − 8" { #expect(offset == end, "\(table): \(field)") }
            #expect(size == value.count, "\(table): \(field) has \(row[1]) bytes")
            let stands =
                offset + size <= encoded.count ? Array(encoded[offset..<offset + size]) : []
            #expect(stands == value, "\(table): \(field)")
            end = offset + size
        }
        #expect(end + padding == encoded.count, "\(table): its end")
    }

    private func record(
        _ length: Int,
        _ body: (inout OutputRawSpan) -> Void
    ) -> [UInt8] {
        [UInt8].encoded(count: length, body)
    }

    @Test("the segment header stands as documented")
    func segmentHeader() throws {
        let header = SegmentHeader(
            store: StoreID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718),
            segment: 0x2122_2324,
            epoch: 0x3132_3334_3536_3738,
            createdMilliseconds: 0x4142_4344_4546_4748,
            preparedBytes: 0x5152_5354_5556_5758
        )
        let encoded = record(SegmentHeader.byteCount) { header.encode(into: &$0) }
        var zeroed = encoded
        zeroed.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        check(
            "SegmentHeader",
            encoded,
            [
                "magic": Array("RATORSEG".utf8), "version": bytes(UInt32(3)),
                "checksum": bytes(HandDecoder.crc32c(0, zeroed)),
                "store id": bytes(header.store.high) + bytes(header.store.low),
                "segment": bytes(UInt64(0x2122_2324)), "epoch": bytes(header.epoch),
                "created": bytes(header.createdMilliseconds),
                "prepared": bytes(UInt64(0x5152_5354_5556_5758)),
            ]
        )
    }

    @Test("the record header stands as documented, and its checksum covers all the rest")
    func recordHeader() {
        let encoded = record(40) { span in
            span.appendRecord(
                .settle,
                length: 40,
                flags: 1,
                count: 0x0203,
                word: 0x0405_0607,
                seed: seed
            ) { $0.append(repeating: 9, count: 20, as: UInt8.self) }
        }
        check(
            "RecordHeader",
            Array(encoded[..<16]),
            [
                "checksum": bytes(HandDecoder.crc32c(seed, Array(encoded[4...]))),
                "length": bytes(UInt32(40)), "kind": [12], "flags": [1],
                "count": bytes(UInt16(0x0203)), "word": bytes(UInt32(0x0405_0607)),
            ]
        )
        #expect(Array(encoded[36...]) == [0, 0, 0, 0], "padding is zero")
    }

    @Test("the kinds have their documented values, all of them and no others")
    func kinds() {
        let documented = document.table("RecordKind").map { "\($0[0]) \($0[1])" }
        #expect(documented == RecordKind.allCases.map { "\($0.rawValue) \($0)" })
    }

    @Test("the group record stands as documented")
    func group() {
        let group = GroupRecord(
            number: 0x0102_0304_0506_0708,
            epoch: 0x1112_1314_1516_1718,
            durable: LogPosition(segment: 0x2122_2324, offset: 0x2526_2728),
            groupBytes: 0x3132_3334
        )
        check(
            "GroupRecord",
            record(GroupRecord.length) { group.append(to: &$0, seed: seed) },
            [
                "number": bytes(group.number), "epoch": bytes(group.epoch),
                "durable": bytes(UInt64(0x2122_2324_2526_2728)),
                "group bytes": bytes(UInt64(0x3132_3334)),
            ]
        )
    }

    @Test("the message record stands as documented")
    func message() {
        let headers = Array("name:value\n".utf8)
        let body = Array("a body".utf8)
        let length = MessageRecord.length(
            headers: headers.count,
            body: body.count,
            entries: 2,
            expires: 0x3132_3334_3536_3738
        )
        let encoded = record(length) { span in
            MessageRecord.append(
                to: &span,
                entries: [(QueueID(0x0102_0304), 0x1112_1314_1516_1718), (QueueID(5), 6)],
                time: 0x2122_2324_2526_2728,
                expires: 0x3132_3334_3536_3738,
                headers: headers.span.bytes,
                body: body.span.bytes,
                flags: 0,
                seed: seed
            )
        }
        check(
            "MessageRecord",
            encoded,
            [
                "time": bytes(UInt64(0x2122_2324_2526_2728)),
                "body bytes": bytes(UInt32(body.count)),
                "entries": bytes(UInt32(0x0102_0304)) + bytes(UInt64(0x1112_1314_1516_1718))
                    + bytes(UInt32(5)) + bytes(UInt64(6)),
                "expires": bytes(UInt64(0x3132_3334_3536_3738)),
                "headers": headers, "body": body,
            ],
            sizes: [
                "12 × count": 24, "8 or 0": 8, "word": headers.count, "body bytes": body.count,
            ],
            padding: length - 28 - 24 - 8 - headers.count - body.count
        )
    }

    @Test("the settle record stands as documented")
    func settle() {
        let queue = QueueState(id: QueueID(7), name: "q")
        var settles = PendingSettles()
        for number in 0..<3 as Range<UInt64> {
            settles.add(
                0x1112_1314_1516_1718 + number,
                bytes: 0x1112_1314,
                reason: 4,
                of: queue
            )
        }
        let record = record(SettleRecord.length(runs: 1)) { span in
            SettleRecord.append(to: &span, settles, flags: 0, seed: seed)
        }
        check(
            "SettleRecord",
            record,
            [
                "queue": bytes(UInt32(7)), "sequences": [3, 0, 0], "reason": [4],
                "first": bytes(UInt64(0x1112_1314_1516_1718)),
                "bytes": bytes(UInt32(3 * 0x1112_1314)),
            ],
            padding: 4
        )
    }

    @Test("the settle record of one queue, which is only read, stands as documented")
    func settleOfQueue() throws {
        let ranges = [
            SequenceRange(first: 0x1112_1314_1516_1718, count: 3),
            SequenceRange(first: 0x3132_3334_3536_3738, count: 2),
        ]
        let record = record(56) { span in
            span.appendRecord(
                .settleOfQueue,
                length: 56,
                flags: 0,
                count: 2,
                word: 7,
                seed: seed
            ) { span in
                span.append64(104)
                span.append32(4)
                for range in ranges {
                    span.append64(range.first)
                    span.append32(range.count)
                }
            }
        }
        check(
            "QueueSettleRecord",
            record,
            [
                "bytes": bytes(UInt64(104)), "reason": [4], "reserved": [0, 0, 0],
                "ranges": ranges.flatMap { bytes($0.first) + bytes($0.count) },
            ],
            sizes: ["12 × count": 24],
            padding: 4
        )
        let all = record.span.bytes
        func run(_ first: UInt64, count: UInt32, bytes: UInt64) -> SettledRun {
            SettledRun(queue: QueueID(7), first: first, count: count, bytes: bytes, reason: 4)
        }
        let header = RecordHeader(all, at: 0)
        let decoded = header.flatMap { SettleRecord($0, all, at: 0) }
        let read = try #require(decoded)
        #expect(
            read.runs == [
                run(ranges[0].first, count: 3, bytes: 60),
                run(ranges[1].first, count: 2, bytes: 44),
            ]
        )
    }

    @Test("requeue, queue and purge records stand as documented")
    func smallRecords() {
        let requeue = RequeueRecord(
            queue: QueueID(7),
            sequence: 0x0102_0304_0506_0708,
            Requeue(deliveryCount: 0x1112_1314, isRejected: true, due: 0x2122_2324 * 1000 - 1)
        )
        check(
            "RequeueRecord",
            record(RequeueRecord.length) { requeue.append(to: &$0, flags: 0, seed: seed) },
            [
                "sequence": bytes(requeue.sequence), "delivery count": bytes(UInt32(0x9112_1314)),
                "due": bytes(UInt32(0x2122_2324)),
            ]
        )
        let queue = QueueRecord(
            queue: QueueID(7),
            nextSequence: 0x0102_0304_0506_0708,
            name: "/queue/é"
        )
        let name = Array(queue.name.utf8)
        check(
            "QueueRecord",
            record(QueueRecord.length(nameBytes: name.count)) {
                queue.append(to: &$0, flags: 0, seed: seed)
            },
            [
                "next sequence": bytes(queue.nextSequence), "name bytes": bytes(UInt32(name.count)),
                "reserved": [0, 0, 0, 0], "name": name,
            ],
            sizes: ["name bytes": name.count],
            padding: roundedUpToEight(name.count) - name.count
        )
        let purge = PurgeRecord(queue: QueueID(7), below: 0x0102_0304_0506_0708)
        check(
            "PurgeRecord",
            record(PurgeRecord.length) { purge.append(to: &$0, flags: 0, seed: seed) },
            ["below": bytes(purge.below)]
        )
    }

    @Test("the footer and a line of its table stand as documented")
    func footer() {
        let offsets: [UInt32] = [64, 0, 2112, 2120]
        let encoded = SegmentFooter.encode(
            [
                .init(queue: QueueID(3), first: 1, bytes: 2, offsets: [128]),
                .init(
                    queue: QueueID(0x0102_0304),
                    first: 0x1112_1314_1516_1718,
                    bytes: 0x2122_2324_2526_2728,
                    offsets: offsets[...]
                ),
            ],
            at: 0x0312_1110,
            seed: seed
        )
        // 64 / 8; a hole; (2112 - 64) / 8 = 256 in two bytes; 1.
        let postings: [UInt8] = [16, 8, 0, 0x80, 2, 1]
        let table = Array(encoded[24..<88])
        let end = roundedUpToEight(88 + postings.count)
        check(
            "SegmentFooter",
            encoded,
            [
                "postings bytes": bytes(UInt64(postings.count)), "table": table,
                "postings": postings, "footer offset": bytes(UInt64(0x0312_1110)),
            ],
            sizes: ["32 × word": 64, "postings bytes": postings.count]
        )
        #expect(encoded.count == end + 8)
        check(
            "SegmentFooter.Line",
            Array(table[32...]),
            [
                "queue": bytes(UInt32(0x0102_0304)), "count": bytes(UInt32(4)),
                "first": bytes(UInt64(0x1112_1314_1516_1718)),
                "bytes": bytes(UInt64(0x2122_2324_2526_2728)),
                "start": bytes(UInt32(89)), "list bytes": bytes(UInt32(5)),
            ]
        )
    }

    @Test("the checkpoint header stands as documented")
    func checkpoint() {
        let state = StoreState()
        state.segments.begin(4)
        state.segments.restoreDropped(SegmentFile(segment: 3, generation: 0), checkpoint: 1)
        state.name(QueueID(0x0102_0303), "/queue/a", nextSequence: 9)
        let encoded = CheckpointFormat.encode(
            state,
            store: StoreID(high: 0x1112_1314_1516_1718, low: 0x2122_2324_2526_2728),
            number: 0x3132_3334_3536_3738,
            position: LogPosition(segment: 4, offset: 0x4142_4344),
            nextGroup: 0x5152_5354_5556_5758,
            epoch: 0x6162_6364_6566_6768
        )
        var zeroed = encoded
        zeroed.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        check(
            "CheckpointHeader",
            Array(encoded[..<96]),
            [
                "magic": Array("RATORCHK".utf8), "version": bytes(UInt32(4)),
                "checksum": bytes(HandDecoder.crc32c(0, zeroed)),
                "store id": bytes(UInt64(0x1112_1314_1516_1718))
                    + bytes(UInt64(0x2122_2324_2526_2728)),
                "number": bytes(UInt64(0x3132_3334_3536_3738)),
                "position": bytes(UInt64(4) << 32 | 0x4142_4344),
                "next group": bytes(UInt64(0x5152_5354_5556_5758)),
                "epoch": bytes(UInt64(0x6162_6364_6566_6768)),
                "next queue": bytes(UInt32(0x0102_0304)), "segments": bytes(UInt32(1)),
                "dropped": bytes(UInt32(1)), "queues": bytes(UInt32(1)),
                "reserved": [UInt8](repeating: 0, count: 16),
            ]
        )
        #expect(encoded.count == 96 + 56 + 16 + 24 + 8)
    }

    @Test("the header of a packed segment stands as documented")
    func packedHeader() {
        let header = PackedHeader(
            store: StoreID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718),
            file: SegmentFile(segment: 0x2122_2324, generation: 0x3132_3334),
            originalLength: 0x4142_4344
        )
        let encoded = record(PackedHeader.byteCount) { header.encode(into: &$0) }
        var zeroed = encoded
        zeroed.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        check(
            "PackedHeader",
            encoded,
            [
                "magic": Array("RATORPAK".utf8), "version": bytes(UInt32(3)),
                "checksum": bytes(HandDecoder.crc32c(0, zeroed)),
                "store id": bytes(header.store.high) + bytes(header.store.low),
                "segment": bytes(UInt64(0x2122_2324)), "generation": bytes(UInt64(0x3132_3334)),
                "original": bytes(UInt64(0x4142_4344)), "reserved": bytes(UInt64(0)),
            ]
        )
    }

    @Test("a block that compression does not make smaller is stored, as documented")
    func storedBlock() {
        let plain: [UInt8] = [1, 2, 3, 4, 5]
        let encoded = PackedBlock.encode(plain, codec: .zlib, at: 64, seed: 7)
        #expect(Array(encoded[8..<16]) == [10, 0, 0, 0] + bytes(UInt32(5)))
        check(
            "BlockRecord",
            encoded,
            ["stored bytes": bytes(UInt64(5)), "reserved": bytes(UInt64(0)), "stored": plain],
            sizes: ["stored bytes": plain.count],
            padding: 3
        )
        let zeros = PackedBlock.encode(
            [UInt8](repeating: 0, count: 4_000),
            codec: .zlib,
            at: 64,
            seed: 7
        )
        #expect(Array(zeros[8..<16]) == [10, 0, 1, 0] + bytes(UInt32(4_000)))
        #expect(zeros.count < 100)
    }

    @Test("the index of a packed segment stands as documented")
    func packedIndex() {
        var index = PackedIndex()
        index.footerOffset = 0x0102_0304
        index.lines = [.init(fileOffset: 0x1112_1314, first: 0x2122_2324, last: 0x3132_3334)]
        let encoded = index.encode(at: 0x4142_4344, seed: 7)
        #expect(Array(encoded[8..<16]) == [11, 0, 0, 0] + bytes(UInt32(1)))
        check(
            "IndexRecord",
            encoded,
            [
                "footer": bytes(UInt64(0x0102_0304)),
                "lines": bytes(UInt64(0x1112_1314)) + bytes(UInt32(0x2122_2324))
                    + bytes(UInt32(0x3132_3334)),
                "index offset": bytes(UInt64(0x4142_4344)),
            ],
            sizes: ["16 × word": 16]
        )
    }
}
