import Base
import Broker
import NIOCore
import StompCodec
import Testing

@testable import Server

@Suite(.timeLimit(.minutes(1)))
struct StompSessionTests {
    // MARK: Connecting

    @Test("CONNECT is answered with the highest common version", arguments: StompVersion.allCases)
    func connect(_ version: StompVersion) async throws {
        try await withBroker { broker in
            let client = try await broker.client()
            try await client.send("STOMP\naccept-version:1.0,\(version.rawValue)\n\n\0")
            let connected = try await client.next()
            #expect(connected.command == .connected)
            #expect(connected.version == version.rawValue)
        }
    }

    @Test("no common version is an ERROR that lists what there is")
    func noVersion() async throws {
        try await withBroker { broker in
            let client = try await broker.client()
            try await client.send("CONNECT\naccept-version:2.0\n\n\0")
            let error = try await client.next()
            #expect(error.command == .error)
            #expect(error.version == "1.0,1.1,1.2")
            try await client.expectClosed()
        }
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        var version: StompVersion
        var text: String
        var message: String
        var receiptID: String?
        var testDescription: String { "\(version.rawValue): \(message)" }
    }

    static let faults: [Fault] = [
        Fault(version: .v12, text: "CONNECT\n\n\0", message: "already connected"),
        Fault(version: .v12, text: "MESSAGE\n\n\0", message: "unknown command"),
        Fault(version: .v12, text: "FOO\n\n\0", message: "unknown command"),
        Fault(
            version: .v12,
            text: "SEND\nreceipt:r\n\n\0",
            message: "missing header",
            receiptID: "r"
        ),
        Fault(
            version: .v12,
            text: "SEND\ndestination:/nowhere/a\nreceipt:r\n\n\0",
            message: "bad destination",
            receiptID: "r"
        ),
        Fault(
            version: .v12,
            text: "SEND\nreceipt:r\ncontent-length:-1\n\n\0",
            message: "bad content-length",
            receiptID: "r"
        ),
        Fault(
            version: .v12,
            text: "SEND\nreceipt:r\ncontent-length:99999999999999999999\n\n\0",
            message: "body too large",
            receiptID: "r"
        ),
        Fault(version: .v12, text: "SUBSCRIBE\nid:1\n\n\0", message: "missing header"),
        Fault(
            version: .v11,
            text: "SUBSCRIBE\ndestination:/queue/a\n\n\0",
            message: "missing header"
        ),
        Fault(
            version: .v12,
            text: "SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:a=1\n\n\0",
            message: "selector not supported"
        ),
        Fault(
            version: .v12,
            text: "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:never\n\n\0",
            message: "unknown ack mode"
        ),
        Fault(
            version: .v12,
            text: "SUBSCRIBE\nid:1\ndestination:/queue/a\nprefetch-count:0\n\n\0",
            message: "bad prefetch-count"
        ),
        Fault(
            version: .v12,
            text: "SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0"
                + "SUBSCRIBE\nid:1\ndestination:/queue/b\n\n\0",
            message: "id in use"
        ),
        Fault(version: .v12, text: "UNSUBSCRIBE\nid:9\n\n\0", message: "no such subscription"),
        Fault(version: .v12, text: "ACK\nmessage-id:1-1\n\n\0", message: "missing header"),
        Fault(version: .v11, text: "ACK\nmessage-id:1-1\n\n\0", message: "missing header"),
        Fault(version: .v10, text: "NACK\nmessage-id:1-1\n\n\0", message: "unknown command"),
        Fault(version: .v12, text: "NACK\nmessage-id:1-1\n\n\0", message: "missing header"),
        Fault(version: .v11, text: "NACK\nsubscription:1\n\n\0", message: "missing header"),
        Fault(version: .v12, text: "UNSUBSCRIBE\n\n\0", message: "missing header"),
        Fault(version: .v10, text: "UNSUBSCRIBE\n\n\0", message: "missing header"),
        Fault(version: .v10, text: "ACK\n\n\0", message: "missing header"),
        Fault(version: .v12, text: "BEGIN\n\n\0", message: "missing header"),
        Fault(version: .v12, text: "COMMIT\n\n\0", message: "missing header"),
        Fault(version: .v12, text: "ABORT\n\n\0", message: "missing header"),
        Fault(version: .v12, text: "COMMIT\ntransaction:t\n\n\0", message: "bad transaction"),
        Fault(
            version: .v12,
            text: "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0",
            message: "bad transaction"
        ),
    ]

    @Test("a fault is an ERROR that names it and the receipt, then the end", arguments: faults)
    func fault(_ fault: Fault) async throws {
        try await withBroker { broker in
            let client = try await broker.client(fault.version)
            try await client.send(fault.text)
            try await client.expectError(fault.message, receiptID: fault.receiptID)
        }
    }

    @Test("a frame before CONNECT is an ERROR")
    func notConnected() async throws {
        try await withBroker { broker in
            let client = try await broker.client()
            try await client.send("SEND\ndestination:/queue/a\n\n\0")
            try await client.expectError("not connected")
        }
    }

    // MARK: Sending and receiving

    @Test(
        "what is sent arrives with its headers and body, in each version",
        arguments: StompVersion.allCases
    )
    func sendAndReceive(_ version: StompVersion) async throws {
        try await withBroker { broker in
            let client = try await broker.client(version)
            try await client.send(
                "SUBSCRIBE\nid:s:1\ndestination:/queue/a\nack:client\nreceipt:sub\n\n\0"
                    + "SEND\ndestination:/queue/a\nk:v\ncontent-length:3\nreceipt:r1\n\na\0b\0"
            )
            try await client.expectReceipt("sub")
            var frames = [try await client.next(), try await client.next()]
            frames.sort { $0.command.rawValue > $1.command.rawValue }
            #expect(frames[0].receiptID == "r1")
            #expect(frames[1].body == "a\0b")
            #expect(frames[1].destination == "/queue/a")
            #expect(frames[1].subscription == "s:1")
            #expect((frames[1].ack != nil) == (version == .v12))
        }
    }

    @Test(
        "each version acknowledges in its own way, and the next message comes",
        arguments: StompVersion.allCases
    )
    func acknowledge(_ version: StompVersion) async throws {
        try await withBroker { broker in
            let client = try await broker.client(version)
            try await client.send(
                "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0"
                    + "SEND\ndestination:/queue/a\n\none\0SEND\ndestination:/queue/a\n\ntwo\0"
            )
            let first = try await client.expectMessage("one")
            let id = try #require(first.messageID)
            let header =
                switch version {
                case .v10: "message-id:\(id)"
                case .v11: "message-id:\(id)\nsubscription:s"
                case .v12: "id:\(try #require(first.ack))"
                }
            try await client.send("ACK\n\(header)\nreceipt:acked\n\n\0")
            var frames = [try await client.next(), try await client.next()]
            frames.sort { $0.command.rawValue > $1.command.rawValue }
            #expect(frames[0].receiptID == "acked")
            #expect(frames[1].body == "two")
        }
    }

    @Test("a subscription of 1.0 without id is known by its destination")
    func subscriptionByDestination() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v10)
            try await client.send(
                "SUBSCRIBE\ndestination: /queue/a\n\n\0SEND\ndestination:/queue/a\n\none\0"
            )
            let message = try await client.expectMessage("one")
            #expect(message.subscription == nil)
            try await client.send(
                "UNSUBSCRIBE\ndestination:/queue/a\nreceipt:u\n\n\0"
                    + "SEND\ndestination:/queue/a\nreceipt:s\n\ntwo\0"
            )
            try await client.expectReceipt("u")
            try await client.expectReceipt("s")
        }
    }

    @Test("a NACKed message comes again and says so")
    func negativeAcknowledge() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await client.send(
                "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client-individual\n\n\0"
                    + "SEND\ndestination:/queue/a\n\none\0"
            )
            let first = try await client.expectMessage("one")
            try await client.send("NACK\nid:\(try #require(first.ack))\n\n\0")
            let second = try await client.expectMessage("one")
            #expect(second.deliveryCount == 2)
            #expect(second.messageID == first.messageID)
            #expect(second.ack != first.ack)
        }
    }

    @Test("unknown and strange ack ids have no effect and are no error")
    func lateAcknowledgement() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            for (number, id) in ["0-0", "7-7", "hello", "", "1-1-1"].enumerated() {
                try await client.send("ACK\nid:\(id)\nreceipt:\(number)\n\n\0")
                try await client.expectReceipt("\(number)")
            }
        }
    }

    @Test("a transaction takes effect at COMMIT")
    func transaction() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await client.send(
                "SUBSCRIBE\nid:s\ndestination:/queue/a\n\n\0BEGIN\ntransaction:t\nreceipt:b\n\n\0"
                    + "SEND\ndestination:/queue/a\ntransaction:t\nreceipt:1\n\none\0"
            )
            try await client.expectReceipt("b")
            try await client.expectReceipt("1")
            try await client.send(
                "SEND\ndestination:/queue/a\nreceipt:2\n\ntwo\0"
                    + "COMMIT\ntransaction:t\nreceipt:c\n\n\0"
            )
            var bodies: [String] = []
            var receipts: [String?] = []
            for _ in 0..<4 {
                let frame = try await client.next()
                if frame.command == .message {
                    bodies.append(frame.body)
                } else {
                    receipts.append(frame.receiptID)
                }
            }
            #expect(bodies == ["two", "one"])
            #expect(receipts == ["2", "c"])
        }
    }

    @Test("a topic's message goes to every subscriber")
    func topic() async throws {
        try await withBroker { broker in
            let clients = [try await broker.client(.v12), try await broker.client(.v11)]
            for client in clients {
                try await client.send("SUBSCRIBE\nid:t\ndestination:/topic/n\nreceipt:s\n\n\0")
                try await client.expectReceipt("s")
            }
            try await clients[0].send("SEND\ndestination:/topic/n\nk:a\\cb\n\nnews\0")
            for client in clients { try await client.expectMessage("news") }
        }
    }

    @Test("ten thousand auto messages arrive in order")
    func manyMessages() async throws {
        try await withBroker { broker in
            let count = 10_000
            let client = try await broker.client(.v12)
            var bytes = ByteBuffer(
                string: "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:auto\n\n\0"
            )
            for number in 0..<count {
                bytes.writeString("SEND\ndestination:/queue/a\n\n\(number)\0")
            }
            try await client.send(bytes)
            for number in 0..<count { try await client.expectMessage("\(number)") }
        }
    }

    @Test("a body of one MiB goes through, in and out")
    func largeBody() async throws {
        try await withBroker { broker in
            let body = String(repeating: "0123456789abcdef", count: 1 << 16)
            let client = try await broker.client(.v12)
            try await client.send(
                "SUBSCRIBE\nid:s\ndestination:/queue/a\n\n\0"
                    + "SEND\ndestination:/queue/a\ncontent-length:\(body.utf8.count)\n\n\(body)\0"
            )
            let message = try await client.next()
            #expect(message.body == body)
        }
    }
}
