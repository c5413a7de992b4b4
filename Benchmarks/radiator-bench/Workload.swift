/// One named piece of work, the same for every peer.
///
/// All messages are persistent and every one is receipted, so what counts as sent is durable.
struct Workload: Sendable {
    /// What is done with the messages.
    enum Kind: Sendable {
        /// Producers send to one queue; nobody reads it.
        case send
        /// Each consumer reads a queue of its own and acknowledges message by message.
        case pipe(consumers: Int, prefetch: Int)
        /// A number of messages is sent and left unread; then the server is killed and restarted.
        case backlog(messages: Int)
    }

    let kind: Kind
    let producers: Int
    /// Messages without their receipt yet, per producer.
    let window: Int
    let bodyBytes: Int

    var name: String {
        switch kind {
        case .send: "send-\(bodyBytes)-p\(producers)-w\(window)"
        case .pipe(let consumers, _): "pipe-\(bodyBytes)-\(producers)x\(consumers)"
        case .backlog: "backlog-\(bodyBytes)"
        }
    }

    var summary: String {
        switch kind {
        case .send:
            "\(producers) producers, \(window) in flight each, \(bodyBytes)-byte bodies"
        case .pipe(let consumers, let prefetch):
            "\(producers) producers to \(consumers) consumers, prefetch \(prefetch), "
                + "\(bodyBytes)-byte bodies"
        case .backlog(let messages):
            "\(messages) messages unread: memory, and the restart after SIGKILL"
        }
    }

    var consumers: Int {
        if case .pipe(let consumers, _) = kind { consumers } else { 0 }
    }

    var prefetch: Int {
        if case .pipe(_, let prefetch) = kind { prefetch } else { 0 }
    }

    /// One queue for senders; one for each consumer of a pipe.
    var queues: Int { max(consumers, 1) }

    /// Messages that may be sent and not yet delivered; bounds the latency of a pipe.
    var backlogMax: Int {
        if case .pipe(let consumers, let prefetch) = kind {
            10 * consumers * prefetch
        } else {
            .max
        }
    }

    static let catalogue: [Workload] =
        [256, 1024].flatMap { bodyBytes in
            [(1, 1), (1, 100), (64, 1), (64, 100)].map { producers, window in
                Workload(kind: .send, producers: producers, window: window, bodyBytes: bodyBytes)
            }
        }
        + [256, 1024].flatMap { bodyBytes in
            [1, 4].map { count in
                Workload(
                    kind: .pipe(consumers: count, prefetch: 100),
                    producers: count,
                    window: 100,
                    bodyBytes: bodyBytes
                )
            }
        }
        + [
            Workload(
                kind: .backlog(messages: 1_000_000),
                producers: 16,
                window: 100,
                bodyBytes: 256
            )
        ]
}
