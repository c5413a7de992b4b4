import Base
import Broker
import Logging
import NIOCore
import StompCodec

/// One STOMP connection: bytes to frames, frames to calls of the core, and back.
///
/// `awaitingConnect` -> `loggingIn` (its passcode is checked, or the answer to a wrong one waits; frames
/// behind the CONNECT wait, too) -> `connected` -> `draining` (told to go; its last receipts wait until they are
/// durable) -> `lingering` (our side is closed; the client reads the rest) -> `closed`.
/// After `connected` everything that is received is thrown away. It is still read, for a socket that
/// is closed with unread bytes is reset, and the client might lose the ERROR.
///
/// Confinement: broker loop.
final class StompSession: ChannelInboundHandler, BrokerClient, FrameReceiver {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State { case awaitingConnect, loggingIn, connected, draining, lingering, closed }

    /// Why nothing is read from the socket.
    struct ReadPause: OptionSet {
        let rawValue: UInt8
        /// The client does not read what we send.
        static let outbound = ReadPause(rawValue: 1)
        /// The store is behind, and this client sends.
        static let held = ReadPause(rawValue: 2)
        /// Too many receipts wait.
        static let receipts = ReadPause(rawValue: 4)
        /// Its frames made much work; the rest of them waits for another turn.
        static let turn = ReadPause(rawValue: 8)
        /// Unfinished frames take too much memory, its own among them.
        static let memory = ReadPause(rawValue: 16)
        /// Its login is being checked.
        static let login = ReadPause(rawValue: 32)
    }

    /// What must come before the first byte of STOMP.
    enum Handshake: String {
        case tls = "TLS handshake"
        case webSocket = "WebSocket request"
    }

    let loop: BrokerLoop
    /// The loop's, one step nearer: what is reached through another object is counted while in use.
    let broker: Broker
    let workspace: Workspace
    let options: StompSessionOptions
    /// The common name of the client's certificate, verified; nil if none was asked for.
    ///
    /// Set before the first frame is handled.
    var certificateUser: String?
    /// The version that the WebSocket's sub-protocol names; CONNECT must agree.
    private(set) var agreedVersion: StompVersion?
    /// What is still to come before frames; nil for plain TCP, and once all came.
    var handshake: Handshake?
    var state = State.awaitingConnect
    var connectionIndex = 0
    private(set) var session: SessionID?
    /// Who the session is; nil before it is connected.
    private(set) var identity: Identity?
    /// Where the client comes from; the channel forgets it when it is closed.
    private var remoteAddress: SocketAddress?
    /// The same, as limits and delays count it.
    private(set) var address: AddressKey?
    private var isAddressCounted = false
    /// The login in hand.
    var login: PendingLogin?
    private(set) var context: ChannelHandlerContext?

    var parser: StompParser
    private var serializer = StompSerializer()
    var destinations = DestinationCache()
    var subscriptions = SubscriptionTable()
    private var isSender = false
    /// The client has closed its side.
    var isInputClosed = false
    /// Frames were received that are not handled yet.
    var hasFramesLeft = false

    /// What was written since the last flush.
    private var output = ByteBuffer()
    private var isChanged = false
    private var isFlushing = false
    /// Something that was written waits for the socket, as far as is known; with TLS nothing is, for what waits
    /// is not what was written (`FittingHandler`).
    private var isBehind = false
    private var receipts = ReceiptQueue()
    /// Deliveries in `output`, to be reported once they are in the socket.
    private var unreportedBytes = 0
    private var unreportedThrough: DeliveryNumber?
    /// The ERROR frame, sent after the receipts that wait.
    private var lastFrame: ByteBuffer?

    private(set) var pause: ReadPause = []
    /// What the frame under way takes in memory, and since when it is under way.
    private var unfinishedBytes = 0
    private var unfinishedSince: MonotonicTime
    var heartBeats: HeartBeatClock?
    /// When the state must have changed by.
    var deadline: MonotonicTime
    /// Bytes that were not written yet when it was looked last, once our side is closed.
    var lingeringBytes = Int.max

    init(loop: BrokerLoop, options: StompSessionOptions, handshake: Handshake? = nil) {
        self.loop = loop
        broker = loop.broker
        workspace = loop.workspace
        self.handshake = handshake
        self.options = options
        parser = StompParser(limits: options.limits)
        deadline = loop.now.monotonic
        unfinishedSince = deadline
    }

    /// Deliveries to topics that the frames of a turn may bring up before others are read and all are flushed.
    private static let turnWorkMax = 10_000
    /// Long enough for the event loop to look at its sockets.
    private static let turnPause = TimeAmount.microseconds(20)

    /// Memory that one output may take beyond eight times its bytes.
    private static let wastedBytesMax = 8 << 10
    /// Smaller bodies are cheaper to copy than to write apart.
    private static let sharedBodyBytesMin = 64 << 10

    var version: StompVersion? { parser.version }

    // MARK: Channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        loop.beginTurn()
        loop.add(self)
        remoteAddress = context.remoteAddress
        address = remoteAddress.flatMap(AddressKey.init)
        deadline = loop.now.monotonic.advanced(by: options.connectTimeout)
        loop.tickWithin(tickInterval)
        if loop.connectionCount > options.connectionsMax {
            refuseForLimit("connections", options.connectionsMax, user: nil, whose: "The broker")
        } else if let address, !loop.access.admit(address) {
            refuseForLimit(
                "connections_per_address",
                loop.access.limits.perAddress,
                user: nil
            )
        } else if loop.isStopping {
            isAddressCounted = address != nil
            stop()
        } else {
            isAddressCounted = address != nil
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard takesFrames || state == .loggingIn else { return }
        loop.beginTurn()
        heartBeats?.heard(at: loop.now.monotonic)
        parser.feed(unwrapInboundIn(data))
        if state == .loggingIn { keepFrames() } else if !hasFramesLeft { readFrames() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        loop.readDone()
        // One that ends is flushed at the turn's end: then it is known whether its client closed its side, too.
        if state == .connected { flush() }
        context.fireChannelReadComplete()
    }

    /// True while frames are handled as they come.
    var takesFrames: Bool { state == .awaitingConnect || state == .connected }

    /// Handles the frames that were received, or some of them if they make much work.
    private func readFrames() {
        // Borrowed from the workspace, so that handling a frame may not disturb it.
        var frame = StompFrame()
        swap(&frame, &workspace.frame)
        handleFrames(&frame)
        swap(&frame, &workspace.frame)
    }

    private func handleFrames(_ frame: inout StompFrame) {
        defer { countUnfinished() }
        do throws(StompError) {
            while takesFrames {
                guard broker.topicWorkCount < Self.turnWorkMax || isInputClosed else {
                    goOnLater()
                    break
                }
                guard try parser.next(into: &frame) else { return }
                unfinishedSince = loop.now.monotonic
                handle(frame)
            }
        } catch {
            fail(
                error.message,
                error.explanation,
                receiptID: frame.rawValue(.receipt),
                isExplained: !error.quotesStream
            )
        }
        frame.letGo()
        if state == .loggingIn { keepFrames() }
    }

    /// Has the rest of the frames handled when others were read.
    private func goOnLater() {
        guard let context else { return }
        hasFramesLeft = true
        setPause(.turn, true)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.turnPause) { [self] in goOn() }
    }

    func goOn() {
        guard hasFramesLeft else { return }
        hasFramesLeft = false
        loop.beginTurn()
        readFrames()
        if !hasFramesLeft { setPause(.turn, false) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        setPause(.outbound, !context.channel.isWritable)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, event == .inputClosed else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        isInputClosed = true
        loop.beginTurn()
        if state == .loggingIn {
            // With nothing to come after the CONNECT, it has gone.
            if !hasFramesLeft { context.close(promise: nil) }
            return
        }
        goOn()
        if handshake != nil {
            context.close(promise: nil)
        } else if state == .lingering {
            // What waits for the socket would be thrown away.
            if context.bufferedByteCount == 0 { context.close(promise: nil) }
        } else {
            drain()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard state != .closed, self.context != nil else { return }
        loop.beginTurn()
        isInputClosed = true
        if state != .loggingIn { goOn() }
        cancelLogin()
        endSession()
        if isAddressCounted, let address { loop.access.release(address) }
        state = .closed
        forgetUnfinished()
        loop.remove(self)
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        loop.logger.debug(
            "connection failed",
            metadata: [LogKeys.peer: "\(peer)", LogKeys.reason: "\(error)"]
        )
        context.close(promise: nil)
    }

    // MARK: Transport

    /// Goes on from one handshake to the next, or with nil to frames.
    func handshakeDone(next: Handshake? = nil, version: StompVersion? = nil) {
        handshake = next
        agreedVersion = version
        guard next == nil, state == .draining else { return }
        // It was refused meanwhile, and can be told so now.
        loop.beginTurn()
        markChanged()
    }

    /// Notes a sign of life that is no part of any frame.
    func heard() {
        loop.beginTurn()
        heartBeats?.heard(at: loop.now.monotonic)
    }

    /// Closes our side after an answer in another protocol, which the client may still read.
    func turnAway() {
        guard let context, state == .awaitingConnect || state == .draining else { return }
        loop.beginTurn()
        lastFrame = nil
        finish(context)
    }

    var peer: String { remoteAddress?.shown ?? "unknown" }

    // MARK: Output

    /// Lets `write` append to the output.
    @inline(__always)
    func write(_ write: (StompSerializer, inout ByteBuffer) -> Void) {
        markChanged()
        write(serializer, &output)
    }

    @inline(__always)
    private func markChanged() {
        guard !isChanged else { return }
        isChanged = true
        output = workspace.takeOutput()
        loop.markChanged(self)
    }

    func flush() {
        guard isChanged else { return }
        isChanged = false
        var output = ByteBuffer()
        swap(&output, &self.output)
        guard let context else { return }
        let isCopied = wastesMemory(output)
        isFlushing = true
        writeOut(isCopied ? output.compacted() : output, context)
        isFlushing = false
        let isAlone = workspace.giveBack(&output)
        if isBehind {
            isBehind = context.bufferedByteCount > 0
        } else if !isCopied {
            isBehind = !isAlone
        }
        if state == .draining, receipts.isEmpty, handshake == nil { finish(context) }
    }

    /// True if what is to be written fills so little of its memory that it must not wait in there for a socket.
    ///
    /// Outputs are used again, so a few bytes may stand in much memory; the channel counts bytes. Of a client that
    /// is behind, and may be so with thousands of small writes, each takes what it needs.
    private func wastesMemory(_ output: ByteBuffer) -> Bool {
        isBehind
            ? output.wastesMemory(factor: 2, beyond: 64)
            : output.wastesMemory(factor: 8, beyond: Self.wastedBytesMax)
    }

    private func writeOut(_ output: ByteBuffer, _ context: ChannelHandlerContext) {
        if unreportedBytes > 0 || unreportedThrough != nil {
            flushDeliveries(output, context)
        } else if output.readableBytes > 0 {
            context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        }
    }

    /// Writes the output, and tells the core of the deliveries in it once they are in the socket,
    /// which is at once unless that is full.
    private func flushDeliveries(_ output: ByteBuffer, _ context: ChannelHandlerContext) {
        let bytes = unreportedBytes
        let through = unreportedThrough
        unreportedBytes = 0
        unreportedThrough = nil
        // To ask the channel how much it has left to write would cost more than the promise.
        let promise = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(output), promise: promise)
        guard let session else { return }
        promise.futureResult.assumeIsolated().whenSuccess { [self] in
            guard self.session == session else { return }
            if !isFlushing { loop.beginTurn() }
            broker.written(session, bytes: bytes, through: through, now: loop.now)
        }
    }

    func deliver(_ delivery: Delivery) {
        markChanged()
        unreportedBytes += delivery.message.footprint
        if let number = delivery.number { unreportedThrough = max(unreportedThrough, number) }
        // A subscription that ended in this turn gets nothing more; the core took the message back.
        guard let index = subscriptions.index(of: delivery.subscription) else { return }
        if subscriptions.entries[index].prefixDestination?.value != delivery.destination.value {
            let prefix = serializer.messagePrefix(
                subscription: subscriptions.entries[index].clientID,
                destination: broker.name(of: delivery.destination)
            )
            subscriptions.setPrefix(prefix, for: delivery.destination, at: index)
        }
        let head = StompMessageHead(
            prefix: subscriptions.entries[index].prefix,
            id: StompMessageID(
                queue: delivery.id.queue.value,
                sequence: delivery.id.sequence.value
            ),
            ack: subscriptions.entries[index].isAnswered ? Self.ackID(of: delivery) : nil,
            redeliveries: delivery.redeliveries
        )
        write(head, delivery.message)
    }

    /// Writes a MESSAGE; a large body is handed on as it is, for many connections may get the same.
    @inline(__always)
    private func write(_ head: StompMessageHead, _ message: Message) {
        guard message.body.readableBytes >= Self.sharedBodyBytesMin, let context else {
            serializer.writeMessage(
                head,
                headers: message.headers,
                body: message.body,
                into: &output
            )
            return
        }
        serializer.writeMessageHead(
            head,
            headers: message.headers,
            bodyByteCount: message.body.readableBytes,
            into: &output
        )
        let isCopied = wastesMemory(output)
        context.write(wrapOutboundOut(isCopied ? output.compacted() : output), promise: nil)
        context.write(wrapOutboundOut(message.body), promise: nil)
        if isCopied { output.clear() } else { output = workspace.takeOutput() }
        serializer.writeMessageEnd(into: &output)
    }

    /// New for each delivery.
    ///
    /// Nothing waits for an answer to a topic's message; STOMP 1.2 wants
    /// the header all the same, so it gets one that names nothing in flight.
    @inline(__always)
    private static func ackID(of delivery: Delivery) -> StompAckID {
        StompAckID(
            subscription: delivery.subscription.value,
            delivery: delivery.number?.value ?? delivery.id.sequence.value
        )
    }

    // MARK: Receipts

    /// Gives the receipt that a frame asks for, or has it wait for its turn.
    @inline(__always)
    func answer(_ frame: StompFrame, _ completion: Completion) {
        if let id = frame.valueSpan(.receipt) { answer(id, completion) }
    }

    @inline(__always)
    private func answer(_ id: RawSpan, _ completion: Completion) {
        let append: AppendID =
            switch completion {
            case .done: .none
            case .whenDurable(let append): append
            }
        if receipts.isEmpty {
            if loop.isDurable(append) {
                write { $0.writeReceipt(id, into: &$1) }
                return
            }
            loop.markWaiting(self)
        }
        loop.awaitDurable()
        receipts.append(id, when: append, by: serializer)
        if hasTooManyReceipts { setPause(.receipts, true) }
    }

    func releaseReceipts(through durable: AppendID) -> Bool {
        guard state != .closed else { return false }
        guard receipts.isReady(durable) else { return !receipts.isEmpty }
        markChanged()
        receipts.release(through: durable, into: &output)
        if !hasTooManyReceipts { setPause(.receipts, false) }
        return !receipts.isEmpty
    }

    private var hasTooManyReceipts: Bool {
        receipts.count >= options.waitingReceiptsMax
            || receipts.idByteCount >= options.waitingReceiptBytesMax
    }

    // MARK: Reading

    func noteSender() {
        guard !isSender else { return }
        isSender = true
        if loop.isReadingHeld { setPause(.held, true) }
    }

    func holdReading(_ isHeld: Bool) {
        if isSender { setPause(.held, isHeld) }
    }

    // MARK: Memory

    /// Accounts for the frame that is under way.
    private func countUnfinished() {
        let bytes = parser.unfinishedByteCount
        guard bytes != unfinishedBytes, takesFrames else { return }
        if unfinishedBytes == 0 { unfinishedSince = loop.now.monotonic }
        let mayGoOn = loop.frameMemory.change(
            of: self,
            from: unfinishedBytes,
            to: bytes,
            mayBePreferred: state == .connected
        )
        unfinishedBytes = bytes
        if !mayGoOn { setPause(.memory, true) }
    }

    private func forgetUnfinished() {
        parser.discard()
        releaseUnfinished()
    }

    /// Takes what was counted off the account.
    func releaseUnfinished() {
        loop.frameMemory.remove(self, bytes: unfinishedBytes)
        unfinishedBytes = 0
        if isWaitingForMemory { setPause(.memory, false) }
    }

    var isWaitingForMemory: Bool { pause.contains(.memory) }

    func resumeReading() {
        unfinishedSince = loop.now.monotonic
        setPause(.memory, false)
    }

    /// Ends a connection whose large frame does not come to its end while others wait for memory.
    func tickUnfinished(_ now: MonotonicTime) {
        // A client that does not read what it gets holds up its own frame; the other pauses are ours.
        guard loop.frameMemory.isFull, unfinishedBytes > FrameMemory.bytesFree,
            pause.subtracting(.outbound).isEmpty,
            now.since(unfinishedSince) > options.frameTimeMax
        else { return }
        fail(
            "limit reached",
            "A frame has been coming for \(options.frameTimeMax.milliseconds) ms while all "
                + "unfinished frames together take more than unfinished_frame_bytes = "
                + "\(loop.frameMemory.bytesMax)."
        )
    }

    func setPause(_ reason: ReadPause, _ isOn: Bool) {
        let wasReading = pause.isEmpty
        if isOn { pause.insert(reason) } else { pause.remove(reason) }
        guard wasReading != pause.isEmpty, let context else { return }
        heartBeats?.heard(at: loop.now.monotonic)
        do {
            try context.channel.syncOptions?.setOption(.autoRead, value: pause.isEmpty)
        } catch {
            context.close(promise: nil)
        }
    }

    // MARK: The end

    /// Sends an ERROR frame once all receipts before it are given, then closes; the caller has written
    /// a line into the log.
    func refuse(
        _ message: String,
        _ explanation: String,
        receiptID: ByteBuffer? = nil,
        listsVersions: Bool = false
    ) {
        guard takesFrames || state == .loggingIn else { return }
        var error = StompErrorFrame(
            message: message,
            explanation: explanation,
            receiptID: receiptID
        )
        error.listsVersions = listsVersions
        var frame = ByteBuffer()
        serializer.writeError(error, into: &frame)
        lastFrame = frame
        drain()
    }

    func stop() {
        if handshake != nil {
            context?.close(promise: nil)
            return
        }
        fail("broker is stopping", "The broker is being shut down.")
    }

    /// Ends the session; the connection follows when its receipts are given.
    func drain() {
        guard takesFrames || state == .loggingIn else { return }
        state = .draining
        cancelLogin()
        setPause(.login, false)
        // One that has not shown yet that it speaks STOMP gets no more time than it had.
        if handshake == nil { deadline = loop.now.monotonic.advanced(by: options.drainTime) }
        endSession()
        forgetUnfinished()
        markChanged()
    }

    private func endSession() {
        guard let session else { return }
        self.session = nil
        if let user = identity?.user { loop.access.release(user: user) }
        loop.close(session)
    }

    /// Writes the last frame and closes our side; the client reads it and closes the other.
    private func finish(_ context: ChannelHandlerContext) {
        state = .lingering
        deadline = loop.now.monotonic.advanced(by: options.lingerTime)
        loop.tickWithin(options.lingerTime)
        setPause(.held, false)
        setPause(.memory, false)
        if let lastFrame { context.writeAndFlush(wrapOutboundOut(lastFrame), promise: nil) }
        lastFrame = nil
        guard isInputClosed else {
            context.close(mode: .output, promise: nil)
            return
        }
        // With the client's side closed, ours is the end of the socket: only once all is written.
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
    }

    // MARK: Connecting

    /// Becomes connected: from now on frames have a version.
    func connect(
        _ session: SessionID,
        _ identity: Identity,
        version: StompVersion,
        client: HeartBeat
    ) {
        self.session = session
        self.identity = identity
        state = .connected
        parser.version = version
        serializer.version = version
        loop.route(session, to: self)
        let offer = options.heartBeat
        let clock = HeartBeatClock(
            sendMilliseconds: HeartBeat.interval(from: offer, to: client),
            receiveMilliseconds: HeartBeat.interval(from: client, to: offer),
            silenceMin: options.silenceMin,
            now: loop.now.monotonic
        )
        heartBeats = clock
        loop.tickWithin(clock.tickInterval)
        let connected = StompConnected(
            session: "s-\(session.value)",
            server: options.serverName,
            heartBeat: offer
        )
        write { $0.writeConnected(connected, into: &$1) }
    }
}

/// The larger of a number that may be missing and one that is not.
private func max(_ left: DeliveryNumber?, _ right: DeliveryNumber) -> DeliveryNumber {
    guard let left, left > right else { return right }
    return left
}
