import Base
import Broker
import NIOCore
import StompCodec
import Testing

@testable import Server

@Suite(.timeLimit(.minutes(1)))
struct StompFlowTests {
    @Test("a connection without CONNECT is told so and dropped")
    func connectTimeout() async throws {
        var options = StompSessionOptions()
        options.connectTimeout = .milliseconds(100)
        try await withBroker(options: options) { broker in
            let client = try await broker.client()
            try await client.expectError("no CONNECT")
        }
    }

    @Test("one connection past the limit is refused by an ERROR that names it")
    func connectionLimit() async throws {
        var options = StompSessionOptions()
        options.connectionsMax = 2
        try await withBroker(options: options) { broker in
            let first = try await broker.client(.v12)
            let second = try await broker.client(.v12)
            let third = try await broker.client()
            let error = try await third.next()
            #expect(error.message == "too many connections")
            #expect(error.body.contains("connections = 2"))
            try await third.expectClosed()
            for client in [first, second] {
                try await client.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0")
                try await client.expectReceipt("r")
            }
        }
    }

    @Test("the broker sends heart-beats in time and drops a silent peer")
    func heartBeats() async throws {
        var options = StompSessionOptions()
        options.heartBeat = HeartBeat(sendMilliseconds: 500, receiveMilliseconds: 500)
        try await withBroker(options: options) { broker in
            let client = try await broker.client()
            try await client.send("CONNECT\naccept-version:1.2\nheart-beat:100,500\n\n\0")
            #expect(try await client.next().command == .connected)
            guard case .heartBeat = try await client.nextEvent() else {
                Issue.record("a heart-beat comes before anything else")
                return
            }
            try await client.expectError("no heart-beat")
        }
    }

    @Test("a peer that beats is not dropped")
    func beatingPeer() async throws {
        var options = StompSessionOptions()
        options.heartBeat = HeartBeat(sendMilliseconds: 600, receiveMilliseconds: 600)
        try await withBroker(options: options) { broker in
            let client = try await broker.client()
            try await client.send("CONNECT\naccept-version:1.2\nheart-beat:600,600\n\n\0")
            #expect(try await client.next().command == .connected)
            // Each beat of the broker is answered, for longer than the silence it allows.
            for _ in 0..<4 {
                guard case .heartBeat = try await client.nextEvent() else {
                    Issue.record("only heart-beats come")
                    return
                }
                try await client.send("\n")
            }
        }
    }

    @Test("a client that never reads is given a bounded amount, and the rest stays in the queue")
    func slowReader() async throws {
        try await withBroker { broker in
            let slow = try await broker.client(.v12)
            try await slow.channel.setOption(.autoRead, value: false).get()
            try await slow.send("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:auto\n\n\0")
            let sender = try await broker.client(.v12)
            let body = String(repeating: "x", count: 64 << 10)
            for number in 0..<512 {
                try await sender.send(
                    "SEND\ndestination:/queue/a\nreceipt:\(number)\n\n\(body)\0"
                )
                try await sender.expectReceipt("\(number)")
            }
            let left = try await broker.onLoop { $0.loop.broker.queueSnapshots()[0].messages }
            #expect(left > 256, "the socket buffers hold no more than a few MiB")
            try await slow.channel.setOption(.autoRead, value: true).get()
            for _ in 0..<512 { try await slow.expectMessage(body) }
        }
    }

    @Test("a client that asks for receipts and never reads is not read from for ever")
    func receiptsUnread() async throws {
        var options = StompSessionOptions()
        options.outboundBytesMax = 16 << 10
        try await withBroker(options: options) { broker in
            let client = try await broker.client(.v12)
            try await client.channel.setOption(.autoRead, value: false).get()
            let receipt = String(repeating: "r", count: 4000)
            let frame = ByteBuffer(
                string: "BEGIN\ntransaction:t\nreceipt:\(receipt)\n\n\0"
                    + "ABORT\ntransaction:t\nreceipt:\(receipt)\n\n\0"
            )
            // More than the socket buffers of both sides hold: it cannot all be taken at once.
            let writes = (0..<4000).map { _ in client.channel.writeAndFlush(frame) }
            let other = try await broker.client(.v12)
            try await other.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0")
            try await other.expectReceipt("r")
            try await client.channel.setOption(.autoRead, value: true).get()
            for _ in 0..<8000 { try await client.expectReceipt(receipt) }
            for write in writes { try await write.get() }
        }
    }

    @Test("senders are held while the store is behind, others are not")
    func holdReading() async throws {
        try await withBroker { broker in
            let sender = try await broker.client(.v12)
            let other = try await broker.client(.v12)
            try await sender.send("SEND\ndestination:/queue/a\nreceipt:1\n\none\0")
            try await sender.expectReceipt("1")
            try await broker.handle(.pressure(true))
            try await broker.untilHeld()
            try await sender.send("SEND\ndestination:/queue/a\nreceipt:2\n\ntwo\0")
            try await other.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0")
            try await other.expectReceipt("r")
            #expect(try await broker.onLoop { $0.loop.broker.stats.sends } == 1)
            try await broker.handle(.pressure(false))
            try await sender.expectReceipt("2")
        }
    }

    @Test("a connection that is cut gives its messages to the next")
    func cut() async throws {
        try await withBroker { broker in
            let first = try await broker.client(.v12)
            try await first.send(
                "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0"
                    + "SEND\ndestination:/queue/a\n\none\0"
            )
            try await first.expectMessage("one")
            try await first.close()
            let second = try await broker.client(.v12)
            try await second.send("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0")
            let message = try await second.expectMessage("one")
            #expect(message.deliveryCount == 2)
        }
    }

    @Test("a store that ends is reported and gives no receipt any more")
    func storeFails() async throws {
        try await withBroker { broker in
            let client = try await broker.client(.v12)
            try await broker.confirm(false)
            try await client.send("SEND\ndestination:/queue/a\nreceipt:1\n\none\0")
            try await broker.untilAppended()
            try await broker.handle(.failed("disk is gone"))
            let failure = try await broker.untilStoreFailed()
            #expect(failure == "disk is gone")
        }
    }

    @Test("heart-beats keep their schedule whatever else happens")
    func clock() {
        func at(_ milliseconds: UInt64) -> MonotonicTime {
            MonotonicTime(nanoseconds: milliseconds * 1_000_000)
        }
        var clock = HeartBeatClock(
            sendMilliseconds: 1000,
            receiveMilliseconds: 2000,
            now: at(0)
        )
        #expect(clock.tick(at(749)) == .none)
        #expect(clock.tick(at(750)) == .send)
        #expect(clock.tick(at(751)) == .none)
        #expect(clock.tick(at(1500)) == .send)
        clock.heard(at: at(1600))
        #expect(clock.tick(at(5600)) == .send)
        #expect(clock.tick(at(5601)) == .peerIsSilent)
        #expect(clock.tickInterval <= .milliseconds(125))
        var none = HeartBeatClock(sendMilliseconds: nil, receiveMilliseconds: nil, now: at(0))
        #expect(none.tick(at(1_000_000_000)) == .none)
    }
}

extension TestBroker {
    /// Waits until the store has something that is not durable.
    func untilAppended() async throws {
        while try await onLoop({ $0.store.lastAppend == .none }) { await Task.yield() }
    }

    /// Waits until the core has taken so many messages.
    func untilSent(_ count: Int) async throws {
        while try await onLoop({ $0.loop.broker.stats.sends < count }) { await Task.yield() }
    }

    /// Waits until the turn in which senders are held is over.
    func untilHeld() async throws {
        while try await onLoop({ !$0.loop.isReadingHeld }) { await Task.yield() }
    }

    /// Why the store's end was reported, once it is.
    func untilStoreFailed() async throws -> String {
        while true {
            if let reason = try await onLoop({ $0.storeFailure }) { return reason }
            await Task.yield()
        }
    }
}
