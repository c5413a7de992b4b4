import Base
import Broker
import ByteSpans
import Logging
import NIOCore
import NIOEmbedded
import NIOSSL
import Testing

@testable import Server

/// What is sent when within a turn of the loop, which goes on only when a test says so.
@Suite struct TurnTests {
    private let eventLoop = EmbeddedEventLoop()
    private let loop: BrokerLoop

    init() throws {
        let store = MemoryMessageStore()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        loop = BrokerLoop(
            eventLoop: eventLoop,
            broker: try Broker(
                store: store,
                settings: BrokerSettings(),
                recovered: [],
                now: SystemClock.now()
            ),
            store: store,
            logger: logger,
            submit: {},
            onStoreFailed: { _ in }
        )
    }

    /// A connection whose turn has ended, and that has nothing more to read.
    private func client() throws -> EmbeddedChannel {
        let session = StompSession(loop: loop, options: StompSessionOptions())
        let channel = EmbeddedChannel(handler: session, loop: eventLoop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.writeInbound(ByteBuffer(string: "CONNECT\naccept-version:1.2\nhost:h\n\n\0"))
        eventLoop.run()
        _ = try received(channel)
        return channel
    }

    /// What was sent to a client since the last call.
    private func received(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let part = try channel.readOutbound(as: ByteBuffer.self) {
            text += String(buffer: part)
        }
        return text
    }

    private func end(_ channels: EmbeddedChannel...) throws {
        for channel in channels { _ = try channel.finish(acceptAlreadyClosed: true) }
    }

    private func send(_ body: String) -> ByteBuffer {
        ByteBuffer(string: "SEND\ndestination:/queue/a\n\n\(body)\0")
    }

    @Test("what a client's acknowledgement brings it is sent before others are read")
    func ownFrames() throws {
        let consumer = try client()
        try consumer.writeInbound(
            ByteBuffer(
                string: "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client-individual\n"
                    + "prefetch-count:1\n\n\0"
            )
        )
        for body in ["one", "two"] { try consumer.writeInbound(send(body)) }
        eventLoop.run()
        let first = try received(consumer)
        #expect(first.contains("one") && !first.contains("two"))
        let ack = try #require(first.split(separator: "\n").first { $0.hasPrefix("ack:") })

        try consumer.writeInbound(ByteBuffer(string: "ACK\nid:\(ack.dropFirst(4))\n\n\0"))
        #expect(try received(consumer).contains("two"))
        eventLoop.run()
        #expect(try received(consumer).isEmpty)
        try end(consumer)
    }

    @Test("what others bring a client in one turn is sent together, at its end")
    func othersFrames() throws {
        let consumer = try client()
        let producers = [try client(), try client()]
        try consumer.writeInbound(
            ByteBuffer(string: "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:auto\n\n\0")
        )
        eventLoop.run()
        for (producer, body) in zip(producers, ["one", "two"]) {
            try producer.writeInbound(send(body))
        }
        #expect(try received(consumer).isEmpty)
        eventLoop.run()
        let part = try #require(try consumer.readOutbound(as: ByteBuffer.self))
        #expect(String(buffer: part).contains("one") && String(buffer: part).contains("two"))
        #expect(try received(consumer).isEmpty)
        try end(consumer, producers[0], producers[1])
    }

    @Test("the work of all connections of a turn is bounded together")
    func workLimit() throws {
        let subscriber = try client()
        for id in 1...250 {
            try subscriber.writeInbound(
                ByteBuffer(string: "SUBSCRIBE\nid:\(id)\ndestination:/topic/t\n\n\0")
            )
        }
        eventLoop.run()
        let publishers = [try client(), try client()]
        let frame = "SEND\ndestination:/topic/t\nreceipt:r\n\nx\0"
        // More than a turn's share, so that the second has to wait.
        try publishers[0].writeInbound(ByteBuffer(string: String(repeating: frame, count: 45)))
        try publishers[1].writeInbound(ByteBuffer(string: frame))
        #expect(try !received(publishers[0]).isEmpty)
        #expect(try received(publishers[1]).isEmpty)
        eventLoop.run()
        eventLoop.advanceTime(by: .milliseconds(1))
        #expect(try received(publishers[1]).contains("RECEIPT"))
        try end(subscriber, publishers[0], publishers[1])
    }

    @Test("a connection that ends is flushed at the turn's end")
    func ending() throws {
        let client = try client()
        try client.writeInbound(ByteBuffer(string: "DISCONNECT\nreceipt:bye\n\n\0"))
        #expect(try received(client).isEmpty)
        eventLoop.run()
        #expect(try received(client).contains("bye"))
        try end(client)
    }

    @Test("a few bytes that wait for a client do not keep the memory of somebody's large output")
    func smallOutputs() throws {
        let client = try client()
        for _ in 0..<8 {
            var large = ByteBufferAllocator().buffer(capacity: 200 << 10)
            large.writeString("large")
            #expect(loop.workspace.giveBack(&large))
        }
        for number in 0..<20 {
            let command = number % 2 == 0 ? "BEGIN" : "ABORT"
            try client.writeInbound(
                ByteBuffer(string: "\(command)\ntransaction:t\nreceipt:\(number)\n\n\0")
            )
            eventLoop.run()
        }
        var count = 0
        while let part = try client.readOutbound(as: ByteBuffer.self) {
            #expect(part.storageCapacity <= 8 * part.readableBytes + 8192)
            #expect(String(buffer: part) == "RECEIPT\nreceipt-id:\(count)\n\n\0\n")
            count += 1
        }
        #expect(count == 20)
        try end(client)
    }

    @Test("what TLS hands on in a large buffer waits for the socket in a small one")
    func fitted() throws {
        let channel = EmbeddedChannel(handler: FittingHandler(), loop: eventLoop)
        for count in [1, 50, 8000, 9000] {
            var bytes = ByteBufferAllocator().buffer(capacity: 16 << 10)
            bytes.writeRepeatingByte(UInt8(ascii: "x"), count: count)
            try channel.writeOutbound(bytes)
            let sent = try #require(try channel.readOutbound(as: ByteBuffer.self))
            #expect(sent == bytes)
            #expect(sent.storageCapacity <= 2 * max(count, 64) + 64)
            #expect((sent.memoryAddress == bytes.memoryAddress) == (count == 9000))
        }
        try end(channel)
    }

    @Test(
        "with TLS, and only then, what is encrypted passes the handler that fits it",
        arguments: [true, false]
    )
    func fittedPipeline(hasTLS: Bool) throws {
        let tls = try hasTLS ? NIOSSLContext(configuration: .makeClientConfiguration()) : nil
        let live = ListenerSetup.Live(tls: tls, origins: OriginRule([]))
        let channel = EmbeddedChannel(loop: eventLoop)
        try StompListener.ConnectionStart(loop, ListenerSetup(protocol: .stomp, live))
            .addHandlers(to: channel)
        let order = channel.pipeline.debugDescription
        let fitting = order.firstRange(of: "FittingHandler")
        let library = order.firstRange(of: "NIOSSLServerHandler")
        #expect((fitting != nil) == hasTLS && (library != nil) == hasTLS)
        // The socket stands first.
        if let fitting, let library { #expect(fitting.lowerBound < library.lowerBound, "\(order)") }
        try end(channel)
    }

    @Test("a session that took the place of another one gets nothing that was meant for that")
    func routes() {
        let clients = (0..<2).map { _ in StompSession(loop: loop, options: StompSessionOptions()) }
        let ids = [SessionID(5), SessionID(1 << 32 | 5)]
        #expect(loop.client(of: ids[0]) == nil)
        loop.route(ids[0], to: clients[0])
        #expect(loop.client(of: ids[0]) === clients[0] && loop.client(of: ids[1]) == nil)
        loop.close(ids[0])
        #expect(loop.client(of: ids[0]) == nil)
        loop.route(ids[1], to: clients[1])
        loop.close(ids[0])
        #expect(loop.client(of: ids[0]) == nil && loop.client(of: ids[1]) === clients[1])
    }

    @Test("an output comes back empty, and with memory of its own if somebody holds it")
    func outputs() {
        let workspace = Workspace()
        var output = workspace.takeOutput()
        output.writeString(String(repeating: "x", count: 5000))
        let capacity = output.storageCapacity
        #expect(workspace.giveBack(&output))
        output = workspace.takeOutput()
        #expect(output.readableBytes == 0 && output.storageCapacity == capacity)
        output.writeString("held")
        let held = output
        #expect(!workspace.giveBack(&output))
        var next = workspace.takeOutput()
        next.writeString("next")
        #expect(held == ByteBuffer(string: "held"))
        #expect(next.storageCapacity < capacity)
    }

    @Test("a sender's destinations are told apart by every byte of their names, however long")
    func cachedNames() {
        var cache = DestinationCache()
        func find(_ name: String) -> UInt64? { cache.find(name.utf8.span.bytes)?.value }
        for count in [0, 1, 7, 8, 9, 15, 16, 17, 39, 40, 41, 47, 48, 49, 56, 57, 255] {
            cache.removeAll()
            let name = String(repeating: "a", count: count)
            cache.add(name.utf8.span.bytes, DestinationID(UInt64(count)))
            #expect(find(name) == UInt64(count))
            #expect(find(name + "a") == nil)
            for place in 0..<count {
                var other = Array(name.utf8)
                other[place] = UInt8(ascii: "b")
                #expect(cache.find(other.span.bytes) == nil, "\(count) \(place)")
                other.remove(at: place)
                #expect(cache.find(other.span.bytes) == nil, "\(count) \(place)")
            }
        }
        cache.removeAll()
        let names = (0..<9).map { "/queue/\($0)" }
        for (number, name) in names.enumerated() {
            cache.add(name.utf8.span.bytes, DestinationID(UInt64(number)))
        }
        #expect(find(names[0]) == nil)
        for number in 1..<9 { #expect(find(names[number]) == UInt64(number)) }
    }

    @Test("buffers are the same only in the same memory, at the same end")
    func sameBuffers() throws {
        let bytes = ByteBuffer(string: "0123456789")
        var rest = bytes
        rest.moveReaderIndex(forwardBy: 4)
        #expect(bytes.isSame(as: bytes) && bytes.isSame(as: rest) && !rest.isSame(as: bytes))
        #expect(!bytes.isSame(as: ByteBuffer(string: "0123456789")))
        #expect(!bytes.isSame(as: try #require(bytes.getSlice(at: 0, length: 9))))
        var longer = bytes
        longer.writeString("x")
        #expect(!bytes.isSame(as: longer) && bytes.memoryAddress != longer.memoryAddress)
    }
}
