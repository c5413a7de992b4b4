import NIOCore

/// How many sockets may be open, so that descriptors are left for the store's files.
///
/// Confinement: event loop.
package final class SocketBudget {
    private let max: Int
    private var count = 0
    private var paused: [any Channel] = []

    /// `max` sockets, over all listeners that share this budget.
    package init(max: Int) {
        self.max = max
    }

    /// Counts an accepted socket; stops accepting on `listener` when it was the last that may be open.
    func opened(on listener: any Channel) {
        count += 1
        guard count >= max, !paused.contains(where: { $0 === listener }) else { return }
        paused.append(listener)
        setAutoRead(listener, false)
    }

    /// Counts a closed socket; goes on accepting.
    func closed() {
        count -= 1
        guard count < max else { return }
        for listener in paused { setAutoRead(listener, true) }
        paused = []
    }

    private func setAutoRead(_ listener: any Channel, _ isOn: Bool) {
        // Fails only for a listener that is closed, which accepts nothing anyway.
        listener.setOption(.autoRead, value: isOn).whenFailure { _ in }
    }
}

/// Lets a listener wait, with the kernel's backlog in front of it, while all sockets are in use.
///
/// Without it, an accept that finds no free descriptor is tried again at once and for ever.
/// Confinement: event loop.
final class AcceptGate: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private let budget: SocketBudget

    init(_ budget: SocketBudget) {
        self.budget = budget
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let budget = NIOLoopBound(budget, eventLoop: context.eventLoop)
        budget.value.opened(on: context.channel)
        unwrapInboundIn(data).closeFuture.whenComplete { _ in budget.value.closed() }
        context.fireChannelRead(data)
    }
}
