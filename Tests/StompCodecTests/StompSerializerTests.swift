import NIOCore
import Testing

@testable import StompCodec

struct StompSerializerTests {
    private func message(
        _ version: StompVersion,
        subscription: String? = "s1",
        ack: StompAckID? = nil,
        redeliveries: UInt32 = 0,
        headers: String = "",
        body: String = ""
    ) -> String {
        let serializer = StompSerializer(version: version)
        let prefix = serializer.messagePrefix(
            subscription: subscription.map { ByteBuffer(string: $0) },
            destination: "/queue/a:b"
        )
        let head = StompMessageHead(
            prefix: prefix,
            id: StompMessageID(queue: 7, sequence: 18_446_744_073_709_551_615),
            ack: ack,
            redeliveries: redeliveries
        )
        var out = ByteBuffer()
        serializer.writeMessage(
            head,
            headers: ByteBuffer(string: headers),
            body: ByteBuffer(string: body),
            into: &out
        )
        return String(buffer: out)
    }

    @Test("MESSAGE for 1.2 carries subscription, ids, destination and content-length")
    func messageOf12() {
        let text = message(
            .v12,
            ack: StompAckID(subscription: 3, delivery: 100),
            headers: "x:\\c\n",
            body: "a\0b"
        )
        #expect(
            text == "MESSAGE\nsubscription:s1\ndestination:/queue/a\\cb\n"
                + "message-id:7-18446744073709551615\nack:3-100\ncontent-length:3\nx:\\c\n\na\0b\0\n"
        )
    }

    @Test("MESSAGE for 1.0 has no escapes, no ack, and no subscription if none was named")
    func messageOf10() {
        let text = message(
            .v10,
            subscription: nil,
            ack: StompAckID(subscription: 3, delivery: 1),
            headers: "x:\\c\n"
        )
        #expect(
            text == "MESSAGE\ndestination:/queue/a:b\n"
                + "message-id:7-18446744073709551615\ncontent-length:0\nx::\n\n\0\n"
        )
    }

    @Test("a message that came back says so")
    func redelivered() {
        let text = message(.v11, redeliveries: 2, body: "x")
        #expect(text.contains("\ncontent-length:1\nredelivered:true\ndelivery-count:3\n\nx\0\n"))
    }

    @Test("what is serialized parses again", arguments: StompVersion.allCases)
    func parses(_ version: StompVersion) throws {
        let parsed = try frame(
            message(version, redeliveries: .max, headers: "k:v\n", body: "body"),
            version: version
        )
        #expect(parsed.command == .message)
        #expect(parsed.string(.destination) == "/queue/a:b")
        #expect(parsed.integer(.deliveryCount) == UInt64(UInt32.max) + 1)
        #expect(String(buffer: parsed.body) == "body")
    }

    @Test("RECEIPT echoes the id as it came")
    func receipt() {
        var out = ByteBuffer()
        StompSerializer(version: .v12).writeReceipt(
            ByteBuffer(string: "a\\cb").readableBytesSpan,
            into: &out
        )
        #expect(String(buffer: out) == "RECEIPT\nreceipt-id:a\\cb\n\n\0\n")
    }

    @Test("CONNECTED names version, heart-beat, session and server")
    func connected() throws {
        var out = ByteBuffer()
        let heartBeat = HeartBeat(sendMilliseconds: 10_000, receiveMilliseconds: 5000)
        StompSerializer(version: .v11).writeConnected(
            StompConnected(session: "s-1", server: "radiator/1", heartBeat: heartBeat),
            into: &out
        )
        #expect(
            String(buffer: out)
                == "CONNECTED\nversion:1.1\nheart-beat:10000,5000\nsession:s-1\nserver:radiator/1\n\n\0\n"
        )
    }

    @Test("ERROR carries message, explanation, receipt-id and versions, escaped by version")
    func error() throws {
        var error = StompErrorFrame(
            message: "bad: \n",
            explanation: "Because.",
            receiptID: ByteBuffer(string: "r")
        )
        var out = ByteBuffer()
        StompSerializer(version: .v12).writeError(error, into: &out)
        #expect(
            String(buffer: out)
                == "ERROR\nmessage:bad\\c \\n\nreceipt-id:r\ncontent-type:text/plain\n"
                + "content-length:9\n\nBecause.\n\0\n"
        )
        error.listsVersions = true
        error.receiptID = nil
        var old = ByteBuffer()
        StompSerializer().writeError(error, into: &old)
        let parsed = try frame(String(buffer: old), version: .v10)
        #expect(parsed.string(.version) == "1.0,1.1,1.2")
        #expect(parsed.string(.message) == "bad:")
    }

    @Test("a heart-beat is one line end")
    func heartBeat() {
        var out = ByteBuffer()
        StompSerializer(version: .v12).writeHeartBeat(into: &out)
        #expect(out == ByteBuffer(string: "\n"))
    }

    @Test("message ids and ack ids are read back; others are none")
    func identifiers() throws {
        let ack = try frame("ACK\nmessage-id:7-42\nid:3-9\n\n\0")
        #expect(ack.messageID == StompMessageID(queue: 7, sequence: 42))
        #expect(ack.ackID == StompAckID(subscription: 3, delivery: 9))
        for text in ["", "7", "-", "7-", "-7", "a-1", "1-1-1", "4294967296-1", "1--1", "1-+1"] {
            #expect(try frame("ACK\nmessage-id:\(text)\n\n\0").messageID == nil, "\(text)")
        }
    }
}
