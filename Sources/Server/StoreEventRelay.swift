package import Broker
package import NIOCore

/// Brings a store's reports from its threads to the broker loop, which is made after the store.
package final class StoreEventRelay: Sendable {
    private let eventLoop: any EventLoop
    private let target: NIOLoopBoundBox<BrokerLoop?>

    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        target = NIOLoopBoundBox.makeEmptyBox(eventLoop: eventLoop)
    }

    /// Names the loop; call on its event loop, before the store is used.
    package func attach(_ loop: BrokerLoop) { target.value = loop }

    /// Hands events to the loop, in order; callable from any thread, one hop for all of them.
    package func post(_ events: [StoreEvent]) {
        eventLoop.execute { [target] in target.value?.handle(events) }
    }
}
