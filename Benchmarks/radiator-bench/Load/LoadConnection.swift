import NIOCore

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
