import Broker
import NIOCore
import StompCodec
import Testing

@testable import Server

/// Ids and names that clients choose, and those that the broker gives.
@Suite(.timeLimit(.minutes(1)))
struct StompNamesTests {
    @Test("a topic's messages carry an ack id where the client must answer, and any answer will do")
    func topicAckID() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await client.send(
                "SUBSCRIBE\nid:a\ndestination:/topic/t\nack:client-individual\n\n\0"
                    + "SUBSCRIBE\nid:b\ndestination:/topic/u\n\n\0"
                    + "SEND\ndestination:/topic/t\n\n1\0SEND\ndestination:/topic/t\n\n2\0"
                    + "SEND\ndestination:/topic/u\n\n3\0"
            )
            let first = try #require(try await client.expectMessage("1").ack)
            let second = try #require(try await client.expectMessage("2").ack)
            #expect(first != second)
            #expect(try await client.expectMessage("3").ack == nil)
            try await client.send(
                "ACK\nid:\(first)\nreceipt:x\n\n\0NACK\nid:\(second)\nreceipt:y\n\n\0"
            )
            try await client.expectReceipt("x")
            try await client.expectReceipt("y")
        }
    }

    @Test(
        "ids and transactions are told apart by their bytes",
        arguments: [StompVersion.v11, .v12]
    )
    func bytes(version: StompVersion) async throws {
        try await withBroker { broker in
            let client = try await broker.client(version)
            // One text in two normal forms, and two ids that are no UTF-8.
            let ids: [[UInt8]] = [Array("\u{E9}".utf8), Array("e\u{301}".utf8), [0xFF], [0xFE]]
            for (number, id) in ids.enumerated() {
                var frames = ByteBuffer(string: "SUBSCRIBE\ndestination:/queue/a\nid:")
                frames.writeBytes(id)
                frames.writeString("\nreceipt:\(number)\n\n\0")
                if number < 2 {
                    frames.writeString("BEGIN\nreceipt:t\(number)\ntransaction:")
                    frames.writeBytes(id)
                    frames.writeString("\n\n\0")
                }
                try await client.send(frames)
                try await client.expectReceipt("\(number)")
                if number < 2 { try await client.expectReceipt("t\(number)") }
            }
        }
    }

    @Test("in STOMP 1.0 a subscription ends by its destination, with an id or without")
    func endsByDestination() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v10)
            for id in ["", "id:5\n"] {
                try await client.send(
                    "SUBSCRIBE\ndestination:/queue/a\n\(id)receipt:1\n\n\0"
                        + "UNSUBSCRIBE\ndestination:/queue/a\nreceipt:2\n\n\0"
                        + "SEND\ndestination:/queue/a\nreceipt:3\n\nx\0"
                )
                for receipt in ["1", "2", "3"] { try await client.expectReceipt(receipt) }
            }
        }
    }

    @Test("long receipt ids that wait stop the reading, too")
    func longReceipts() async throws {
        var options = StompSessionOptions()
        options.waitingReceiptBytesMax = 5000
        try await withBroker(options: options) { broker in
            let client = try await broker.client(.v12)
            let other = try await broker.client(.v12)
            try await broker.confirm(false)
            let ids = ["1", "2", "3"].map { $0 + String(repeating: "r", count: 2500) }
            for id in ids.prefix(2) {
                try await client.send("SEND\ndestination:/queue/a\nreceipt:\(id)\n\nx\0")
            }
            try await broker.untilSent(2)
            try await client.send("SEND\ndestination:/queue/a\nreceipt:\(ids[2])\n\nx\0")
            try await other.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0")
            try await other.expectReceipt("r")
            #expect(try await broker.onLoop { $0.loop.broker.stats.sends } == 2)
            try await broker.confirm(true)
            for id in ids { try await client.expectReceipt(id) }
        }
    }

    @Test("the store is told that a receipt waits, and not when nobody asked for one")
    func hastens() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await client.send("SEND\ndestination:/queue/a\n\nx\0")
            try await broker.untilSent(1)
            #expect(try await broker.onLoop { $0.store.hastenCount } == 0)
            try await client.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx\0")
            try await client.expectReceipt("1")
            #expect(try await broker.onLoop { $0.store.hastenCount } == 1)
        }
    }

    @Test("frames that make much work are handled in several turns, in order, also at the end")
    func muchWork() async throws {
        var settings = BrokerSettings()
        settings.topicDefaults.bufferBytes = 1 << 10
        try await withBroker(settings: settings) { broker in
            let (deaf, client) = (try await broker.client(.v12), try await broker.client(.v12))
            for id in 1...250 {
                try await deaf.send("SUBSCRIBE\nid:\(id)\ndestination:/topic/t\n\n\0")
            }
            try await deaf.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0")
            try await deaf.expectReceipt("r")
            // Far more deliveries than one turn takes, and the end right behind.
            let frames = (0..<100).map { number in
                "SEND\ndestination:/topic/t\n\nx\0SEND\ndestination:/queue/a\n\n\(number)\0"
            }
            try await client.send(frames.joined())
            try await client.close()
            let reader = try await broker.client(.v12)
            try await reader.send("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0")
            for number in 0..<100 { try await reader.expectMessage("\(number)") }
        }
    }

    @Test("a large body arrives whole between its neighbours")
    func largeBody() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            let large = String(repeating: "0123456789abcdef", count: 20_000)
            try await client.send(
                "SUBSCRIBE\nid:a\ndestination:/queue/a\nack:auto\n\n\0"
                    + ["before", large, "after"].map { "SEND\ndestination:/queue/a\n\n\($0)\0" }
                    .joined()
            )
            for body in ["before", large, "after"] { try await client.expectMessage(body) }
        }
    }
}
