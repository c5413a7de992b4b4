import Base
import Broker
import ByteSpans
import NIOCore
import StompCodec
import Testing

@testable import Server

@Suite(.timeLimit(.minutes(1)))
struct StompReceiptTests {
    @Test("a receipt waits until its message is durable, and later ones wait behind it")
    func order() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await broker.confirm(false)
            try await client.send(
                "SEND\ndestination:/queue/a\nreceipt:1\n\none\0"
                    + "SUBSCRIBE\nid:s\ndestination:/topic/t\nreceipt:2\n\n\0"
                    + "SEND\ndestination:/topic/t\nreceipt:3\n\nnow\0"
                    + "SEND\ndestination:/queue/a\nreceipt:4\n\ntwo\0"
            )
            try await client.expectMessage("now")
            try await broker.confirm(true)
            for id in ["1", "2", "3", "4"] { try await client.expectReceipt(id) }
        }
    }

    @Test("the ERROR of a broken frame comes after the receipts of the frames before it")
    func errorAfterReceipts() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await broker.confirm(false)
            try await client.send(
                "SEND\ndestination:/queue/a\nreceipt:1\n\none\0BAD\nreceipt:2\n\n\0"
            )
            try await client.send("SEND\ndestination:/queue/a\nreceipt:3\n\nignored\0")
            try await broker.confirm(true)
            try await client.expectReceipt("1")
            try await client.expectError("unknown command")
        }
    }

    @Test("DISCONNECT with a receipt is answered last, then the connection ends")
    func disconnect() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await broker.confirm(false)
            try await client.send(
                "SEND\ndestination:/queue/a\nreceipt:1\n\none\0DISCONNECT\nreceipt:bye\n\n\0"
            )
            try await broker.confirm(true)
            try await client.expectReceipt("1")
            try await client.expectReceipt("bye")
            try await client.expectClosed()
        }
    }

    @Test("a stop gives the receipts that wait, says goodbye, and ends when all is durable")
    func stop() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await broker.confirm(false)
            try await client.send("SEND\ndestination:/topic/t\nreceipt:0\n\nx\0")
            try await client.expectReceipt("0")
            try await client.send(
                "SEND\ndestination:/queue/a\nreceipt:1\n\none\0SEND\ndestination:/topic/t\n\nx\0"
            )
            try await broker.untilAppended()
            async let ended: Void = broker.shutDown()
            try await broker.confirm(true)
            try await client.expectReceipt("1")
            try await client.expectError("broker is stopping")
            try await ended
            #expect(try await broker.onLoop { $0.loop.connectionCount } == 0)
        }
    }

    @Test("a client with too many receipts waiting is not read from until they are given")
    func tooManyWaiting() async throws {
        var options = StompSessionOptions()
        options.waitingReceiptsMax = 3
        try await withBroker(options: options) { broker in
            let client = try await broker.client(.v12)
            let other = try await broker.client(.v12)
            try await broker.confirm(false)
            for number in 1...3 {
                try await client.send("SEND\ndestination:/queue/a\nreceipt:\(number)\n\nx\0")
            }
            try await broker.untilSent(3)
            try await client.send("SEND\ndestination:/queue/a\nreceipt:4\n\nx\0")
            try await other.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0")
            try await other.expectReceipt("r")
            #expect(try await broker.onLoop { $0.loop.broker.stats.sends } == 3)
            try await broker.confirm(true)
            for id in ["1", "2", "3", "4"] { try await client.expectReceipt(id) }
        }
    }

    @Test("garbage on one connection does not disturb another")
    func garbage() async throws {
        try await withBroker { broker in
            let good = try await broker.client(.v12)
            for seed in 0..<100 as Range<UInt64> {
                var generator = SeededGenerator(seed: seed)
                let bad = try await broker.client()
                var bytes = ByteBuffer(string: "CONNECT\naccept-version:1.2\n\n\0SEND\nx:")
                bytes.writeBytes(
                    (0..<200).map { _ in UInt8.random(in: 0...255, using: &generator) }
                )
                try await bad.send(bytes)
                // The broker may have closed it already.
                bad.channel.close(promise: nil)
            }
            try await good.send("SEND\ndestination:/queue/a\nreceipt:1\n\none\0")
            try await good.expectReceipt("1")
        }
    }

    @Test("a receipt that need not wait for the disk waits for those before it")
    func behindOthers() {
        var queue = ReceiptQueue()
        var out = ByteBuffer()
        let serializer = StompSerializer(version: .v12)
        let appends: [AppendID] = [
            AppendID(1), .none, AppendID(2), .none, AppendID(1), AppendID(3),
        ]
        for (number, append) in appends.enumerated() {
            queue.append(ByteBuffer(string: "\(number)").byteSpan, when: append, by: serializer)
        }
        for (durable, count) in [(0, 0), (1, 2), (2, 5), (3, 6)] {
            #expect(queue.isReady(AppendID(UInt64(durable))) == (durable > 0))
            queue.release(through: AppendID(UInt64(durable)), into: &out)
            #expect(queue.count == 6 - count && queue.idByteCount == 6 - count)
            let expected = (0..<count).map { "RECEIPT\nreceipt-id:\($0)\n\n\0\n" }
            #expect(String(buffer: out) == expected.joined())
        }
    }

    @Test("receipts keep their order and ids through many releases")
    func queue() {
        var queue = ReceiptQueue()
        var out = ByteBuffer()
        var expected = ""
        for number in 0..<5000 {
            queue.append(
                ByteBuffer(string: "id-\(number)").byteSpan,
                when: AppendID(UInt64(number / 10)),
                by: StompSerializer(version: .v12)
            )
            expected += "RECEIPT\nreceipt-id:id-\(number)\n\n\0\n"
            if number % 7 == 0 {
                queue.release(through: AppendID(UInt64(number / 20)), into: &out)
            }
        }
        let ids = (0..<5000).map { "id-\($0)" }
        let waiting = ids.suffix(queue.count)
        #expect(!queue.isEmpty && queue.count < 5000)
        #expect(queue.idByteCount == waiting.reduce(0) { $0 + $1.utf8.count })
        queue.release(through: AppendID(.max), into: &out)
        #expect(queue.isEmpty && queue.count == 0 && queue.idByteCount == 0)
        #expect(String(buffer: out) == expected)
    }
}
