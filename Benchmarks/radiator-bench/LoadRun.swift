import NIOCore

/// What went wrong with a load, in words for the terminal.
struct LoadError: Error, CustomStringConvertible {
    let description: String
}

/// How far one connection of a load has come.
enum LoadPhase: Sendable {
    case opening, ready, running, done
}

/// One connection's part in a load: bytes in, bytes out, no sockets.
protocol LoadRole {
    var phase: LoadPhase { get }
    var isConsumer: Bool { get }

    /// Writes what a new connection begins with.
    mutating func open(into out: inout ByteBuffer)

    /// Begins the measured work.
    mutating func start(now: UInt64, into out: inout ByteBuffer)

    /// Takes whole replies from `bytes` and answers them; returns how many bytes it used.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        now: UInt64,
        into out: inout ByteBuffer
    ) throws(LoadError) -> Int

    /// Sends what may be sent now, for something outside the connection has changed.
    mutating func refill(now: UInt64, into out: inout ByteBuffer)

    /// Consumers: everything was delivered; confirm that it is settled.
    mutating func finish(into out: inout ByteBuffer)
}

/// A connection as its run sees it.
protocol LoadControl: AnyObject {
    var isConsumer: Bool { get }
    func start()
    func refill()
    func finish()
}

/// One load under way: what its connections share.
///
/// Confinement: load loop.
final class LoadRun {
    let load: Load
    private(set) var sent = 0
    private(set) var delivered = 0
    private(set) var latencies = LatencyHistogram()
    private(set) var isStopping = false

    private let sentMax: Int
    private var connections: [any LoadControl] = []
    private var readyLeft: Int
    private var producersLeft: Int
    private var consumersLeft: Int
    private var isFinished = false
    private let ready: EventLoopPromise<Void>
    private let done: EventLoopPromise<Void>

    init(load: Load, ready: EventLoopPromise<Void>, done: EventLoopPromise<Void>) {
        self.load = load
        self.ready = ready
        self.done = done
        sentMax = load.messages ?? .max
        producersLeft = load.producers
        consumersLeft = load.consumers
        readyLeft = producersLeft + consumersLeft
    }

    func add(_ connection: any LoadControl) {
        connections.append(connection)
    }

    func start() {
        for connection in connections { connection.start() }
    }

    /// No more messages; what is under way comes to its end.
    func stop() {
        isStopping = true
        refillProducers()
    }

    var maySend: Bool {
        !isStopping && sent < sentMax && sent - delivered < load.undeliveredMax
    }

    /// True when a producer that waits for nothing has nothing left to do.
    var hasSentAll: Bool { isStopping || sent >= sentMax }

    func countSent() { sent += 1 }

    func countDelivered(_ body: UnsafeRawBufferPointer, now: UInt64) {
        delivered += 1
        record(since: SendTime.read(body), now: now)
    }

    func record(since start: UInt64, now: UInt64) {
        latencies.record(nanoseconds: now > start ? now - start : 0)
    }

    func refillProducers() {
        for connection in connections where !connection.isConsumer { connection.refill() }
    }

    /// Ends the consumers once all that was sent has arrived.
    func finishIfDelivered() {
        guard producersLeft == 0, delivered == sent + load.waiting, !isFinished else { return }
        isFinished = true
        for connection in connections where connection.isConsumer { connection.finish() }
    }

    func connectionChanged(to phase: LoadPhase, isConsumer: Bool) {
        switch phase {
        case .opening, .running:
            break
        case .ready:
            readyLeft -= 1
            if readyLeft == 0 { ready.succeed() }
        case .done:
            if isConsumer { consumersLeft -= 1 } else { producersLeft -= 1 }
            if producersLeft == 0 && consumersLeft == 0 { done.succeed() }
            finishIfDelivered()
        }
    }

    func fail(_ error: any Error) {
        ready.fail(error)
        done.fail(error)
    }
}

/// A socket with one role behind it: collects bytes, writes once per read.
///
/// Confinement: load loop.
final class LoadConnection<Role: LoadRole>: ChannelInboundHandler, LoadControl {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var role: Role
    private let run: LoadRun
    private var context: ChannelHandlerContext?
    private var pending = ByteBuffer()
    private var out = ByteBuffer()
    private var phase = LoadPhase.opening

    var isConsumer: Bool { role.isConsumer }

    init(role: Role, run: LoadRun) {
        self.role = role
        self.run = run
    }

    func start() { act { role, out in role.start(now: Self.now(), into: &out) } }

    func refill() { act { role, out in role.refill(now: Self.now(), into: &out) } }

    func finish() { act { role, out in role.finish(into: &out) } }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        act { role, out in role.open(into: &out) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if pending.readableBytes > 0 {
            pending.writeBuffer(&buffer)
            swap(&pending, &buffer)
        }
        do {
            let used = try buffer.withUnsafeReadableBytes { bytes in
                try role.receive(bytes, now: Self.now(), into: &out)
            }
            buffer.moveReaderIndex(forwardBy: used)
        } catch {
            run.fail(error)
            context.close(promise: nil)
            return
        }
        pending.clear()
        pending.writeBuffer(&buffer)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        act { _, _ in }
        guard isConsumer else { return }
        run.refillProducers()
        run.finishIfDelivered()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        guard phase != .done else { return }
        run.fail(LoadError(description: "a connection was closed in the middle of the work"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        run.fail(error)
        context.close(promise: nil)
    }

    private func act(_ step: (inout Role, inout ByteBuffer) -> Void) {
        step(&role, &out)
        if out.readableBytes > 0, let context {
            context.writeAndFlush(wrapOutboundOut(out), promise: nil)
            out.clear()
        }
        guard role.phase != phase else { return }
        phase = role.phase
        run.connectionChanged(to: phase, isConsumer: isConsumer)
    }

    private static func now() -> UInt64 { NIODeadline.now().uptimeNanoseconds }
}
