/// The frames of a load in STOMP.
struct StompFrames {
    let load: Load
    /// The first part of the queues' names, or the whole name of a topic or fan-out.
    let queue: String

    func parts(ofProducer producer: Int) -> FrameParts {
        var parts = FrameParts()
        for queue in load.queues(ofProducer: producer) { parts.addQueue(head: head(queue: queue)) }
        for place in 0..<load.window {
            if load.transactionLength == nil {
                parts.addPlace(label: "receipt:\(place)\n")
            } else {
                parts.addPlace(
                    opening: "BEGIN\ntransaction:\(place)\n\n\0",
                    label: "transaction:\(place)\n",
                    closing: "COMMIT\ntransaction:\(place)\nreceipt:\(place)\n\n\0"
                )
            }
        }
        for body in load.bodies(ofProducer: producer) {
            parts.addBody(body, after: lastHeader, before: "\0")
        }
        return parts
    }

    /// Bytes of a SEND without what the broker does not keep: its receipt header and the final NUL.
    var messageBytes: Int { head(queue: 0).utf8.count + lastHeader.utf8.count + load.bodyBytes }

    /// A subscription that gets one message of a queue.
    func peek(queue number: Int) -> String {
        "SUBSCRIBE\nid:0\ndestination:\(source(number))\nack:client-individual\n"
            + "prefetch-count:1\n\n\0"
    }

    /// The receipt of the last one says that all hold, for receipts keep the order.
    func subscriptions(ofConsumer consumer: Int) -> String {
        let queues = load.queues(ofConsumer: consumer)
        return queues.enumerated().map { index, queue in
            let receipt = index == queues.count - 1 ? "receipt:s\n" : ""
            return "SUBSCRIBE\nid:\(index)\ndestination:\(source(queue))\n\(delivery)\(receipt)\n\0"
        }.joined()
    }

    private func head(queue number: Int) -> String {
        let destination = load.destination == .fanout ? "/fanout/\(queue)" : source(number)
        return "SEND\ndestination:\(destination)\npersistent:true\n"
    }

    private var lastHeader: String { "content-length:\(load.bodyBytes)\n\n" }

    private func source(_ number: Int) -> String {
        load.destination == .topic ? "/topic/\(queue)" : "/queue/\(queue).\(number)"
    }

    private var delivery: String {
        guard load.destination != .topic else { return "ack:auto\n" }
        // RabbitMQ knows the one name, ActiveMQ the other.
        return "ack:client-individual\nprefetch-count:\(load.prefetch)\n"
            + "activemq.prefetchSize:\(load.prefetch)\n"
    }
}
