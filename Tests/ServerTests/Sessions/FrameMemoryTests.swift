import Base
import NIOCore
import StompCodec
import Testing

@testable import Server

@Suite("Memory of unfinished frames", .timeLimit(.minutes(1)))
struct FrameMemoryTests {
    private final class Receiver: FrameReceiver {
        var isWaitingForMemory = false
        private(set) var resumedCount = 0

        func resumeReading() {
            resumedCount += 1
            isWaitingForMemory = false
        }

        /// As a connection does it: told to wait, it does not read.
        func change(
            in memory: FrameMemory,
            from old: Int,
            to new: Int,
            mayBePreferred: Bool = true
        ) -> Bool {
            let goesOn = memory.change(
                of: self,
                from: old,
                to: new,
                mayBePreferred: mayBePreferred
            )
            if !goesOn { isWaitingForMemory = true }
            return goesOn
        }
    }

    private let large = 100 << 10

    private func makeMemory() -> FrameMemory {
        let memory = FrameMemory()
        memory.bytesMax = 250 << 10
        return memory
    }

    @Test("nobody waits while there is room, and small frames never wait")
    func room() {
        let memory = makeMemory()
        let receivers = (0..<3).map { _ in Receiver() }
        #expect(receivers[0].change(in: memory, from: 0, to: large))
        #expect(receivers[1].change(in: memory, from: 0, to: large))
        #expect(receivers[0].change(in: memory, from: large, to: 2 * large))
        #expect(memory.isFull)
        #expect(receivers[2].change(in: memory, from: 0, to: FrameMemory.bytesFree))
        #expect(memory.bytes == 3 * large + FrameMemory.bytesFree)
    }

    @Test(
        "past the bound one goes on at a time, the others in their order, and all once there is room"
    )
    func turns() {
        let memory = makeMemory()
        let receivers = (0..<4).map { _ in Receiver() }
        let goesOn = receivers.map { $0.change(in: memory, from: 0, to: large) }
        // The first two fit; the third fills the memory and may finish first.
        #expect(goesOn == [true, true, true, false])
        #expect(receivers[0].change(in: memory, from: large, to: large + 1) == false)
        #expect(receivers[2].change(in: memory, from: large, to: 2 * large))
        #expect(receivers.map(\.resumedCount) == [0, 0, 0, 0])
        // The third is done: 300 KiB are left, so the fourth goes on alone.
        #expect(receivers[2].change(in: memory, from: 2 * large, to: 0))
        #expect(receivers.map(\.resumedCount) == [0, 0, 0, 1])
        memory.remove(receivers[3], bytes: large)
        #expect(receivers.map(\.resumedCount) == [1, 0, 0, 1])
        #expect(!memory.isFull)
    }

    @Test("one that has not logged in waits for others, never they for it")
    func notLoggedIn() {
        let memory = makeMemory()
        let receivers = (0..<4).map { _ in Receiver() }
        let goesOn = receivers.indices.map {
            receivers[$0].change(in: memory, from: 0, to: large, mayBePreferred: $0 != 2)
        }
        #expect(goesOn == [true, true, false, true])
        #expect(receivers[3].change(in: memory, from: large, to: 2 * large))
    }

    @Test("one that leaves while it waits is not resumed")
    func leaving() {
        let memory = makeMemory()
        let receivers = (0..<4).map { _ in Receiver() }
        for receiver in receivers { _ = receiver.change(in: memory, from: 0, to: large) }
        memory.remove(receivers[3], bytes: large)
        memory.remove(receivers[2], bytes: large)
        memory.remove(receivers[1], bytes: large)
        memory.remove(receivers[0], bytes: large)
        #expect(memory.bytes == 0)
        #expect(receivers.map(\.resumedCount) == [0, 0, 0, 0])
    }

    @Test("what was read before the wait began may still come, and may end the frame")
    func lateRead() {
        let memory = makeMemory()
        let receivers = (0..<5).map { _ in Receiver() }
        for receiver in receivers { _ = receiver.change(in: memory, from: 0, to: large) }
        let goesOn = receivers[3].change(in: memory, from: large, to: large + 1)
        #expect(!goesOn)
        // The fourth is done before it was resumed: nobody waits behind it.
        #expect(receivers[3].change(in: memory, from: large + 1, to: 0))
        #expect(receivers.map(\.resumedCount) == [0, 0, 0, 1, 0])
        #expect(receivers[2].change(in: memory, from: large, to: 0))
        #expect(receivers.map(\.resumedCount) == [0, 0, 0, 1, 1])
        for index in [0, 1, 4] { memory.remove(receivers[index], bytes: large) }
        #expect(memory.bytes == 0)
    }

    @Test("producers of large bodies that do not fit together are all served, one after another")
    func largeBodies() async throws {
        try await withBroker { broker in
            try await broker.onLoop { $0.loop.frameMemory.bytesMax = 300 << 10 }
            let body = String(repeating: "x", count: 200 << 10)
            var producers: [TestClient] = []
            for _ in 0..<6 { producers.append(try await broker.client(.v12)) }
            // Each first half arrives before any second half.
            let head =
                "SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:\(body.utf8.count)\n\n"
            for producer in producers {
                try await producer.send(head + body.prefix(100 << 10))
            }
            // Some of it waits in the sockets until others are done.
            let rest = ByteBuffer(string: body.dropFirst(100 << 10) + "\0")
            for producer in producers { producer.channel.writeAndFlush(rest, promise: nil) }
            for producer in producers { try await producer.expectReceipt("r") }
            #expect(try await broker.onLoop { $0.loop.frameMemory.bytes } == 0)
        }
    }

    @Test("who does not read what he gets holds nobody up for longer than others")
    func deafHolder() async throws {
        var options = StompSessionOptions()
        options.connectTimeout = .milliseconds(400)
        options.frameTimeMax = .milliseconds(200)
        options.outboundBytesMax = 1000
        try await withBroker(options: options) { broker in
            try await broker.onLoop { $0.loop.frameMemory.bytesMax = 100 << 10 }
            let deaf = try await broker.client(.v12)
            try await deaf.channel.setOption(.autoRead, value: false).get()
            let half = String(repeating: "x", count: 128 << 10)
            let head = "SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:262144\n\n"
            try await deaf.send(
                "SUBSCRIBE\nid:s\ndestination:/topic/t\nack:auto\n\n\0" + head + half
            )
            let good = try await broker.client(.v12)
            // More than the sockets between them hold.
            let large = String(repeating: "y", count: 60 << 10)
            for _ in 0..<100 {
                try await good.send("SEND\ndestination:/topic/t\n\n\(large)\0")
            }
            good.channel.writeAndFlush(ByteBuffer(string: head + half + half + "\0"), promise: nil)
            try await good.expectReceipt("r")
        }
    }

    @Test("frames that never end make room for others by an ERROR that names the limit")
    func stalledFrames() async throws {
        var options = StompSessionOptions()
        options.connectTimeout = .milliseconds(400)
        options.frameTimeMax = .milliseconds(200)
        try await withBroker(options: options) { broker in
            try await broker.onLoop { $0.loop.frameMemory.bytesMax = 300 << 10 }
            let half = String(repeating: "x", count: 128 << 10)
            let head = "SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:262144\n\n"
            var stalled: [TestClient] = []
            for _ in 0..<3 {
                let client = try await broker.client(.v12)
                try await client.send(head + half)
                stalled.append(client)
            }
            let good = try await broker.client(.v12)
            try await good.send("SEND\ndestination:/queue/a\nreceipt:r\n\nsmall\0")
            try await good.expectReceipt("r")
            try await good.send(head + half)
            try await good.send(half + "\0")
            try await good.expectReceipt("r")
            // Whoever was not in the way is served when he goes on at last.
            var refusals: [String] = []
            for client in stalled {
                client.channel.writeAndFlush(ByteBuffer(string: half + "\0"), promise: nil)
                let answer = try await client.next()
                if answer.command == .error { refusals.append(answer.body) }
            }
            #expect(!refusals.isEmpty)
            #expect(refusals.allSatisfy { $0.contains("unfinished_frame_bytes = 307200") })
        }
    }
}
