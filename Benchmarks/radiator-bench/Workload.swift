/// One named piece of work, the same for every peer.
///
/// All messages are persistent and every one is receipted, so what counts as sent is durable.
struct Workload: Sendable {
    /// What is measured.
    enum Kind: Sendable {
        /// Rate, latency and CPU for some seconds.
        case timed
        /// Memory, restart and drain of messages that nobody read for long.
        case backlog
        /// Bytes that reach the disk for messages that pass through.
        case disk
        /// What is left of messages that nobody touches, and how fast they are read after that.
        case packed
        /// What clients that stall and misbehave cost the others.
        case neighbours
    }

    let name: String
    let summary: String
    let kind: Kind
    let load: Load
    /// True for minutes of work or gigabytes: it runs only when asked for by its whole name.
    var isLong = false

    static let catalogue: [Workload] =
        [256, 1024].flatMap { bodyBytes in
            [(1, 1), (1, 100), (64, 1), (64, 100)].map { producers, window in
                send(producers: producers, window: window, bodyBytes: bodyBytes)
            }
        }
        + [256, 1024].flatMap { bodyBytes in [1, 4].map { pipe($0, bodyBytes: bodyBytes) } }
        + [(10_000, "10k"), (100_000, "100k"), (1_000_000, "1M"), (10_000_000, "10M")].map {
            backlog(messages: $0, label: $1)
        }
        + [256, 1024].map(disk) + [packed, neighbours]

    /// Producers send to one queue; nobody reads it.
    private static func send(producers: Int, window: Int, bodyBytes: Int) -> Workload {
        Workload(
            name: "send-\(bodyBytes)-p\(producers)-w\(window)",
            summary: "\(producers) producers, \(window) in flight each, \(bodyBytes)-byte bodies",
            kind: .timed,
            load: Load(producers: producers, window: window, bodyBytes: bodyBytes)
        )
    }

    /// Each consumer reads a queue of its own and acknowledges message by message.
    private static func pipe(_ count: Int, bodyBytes: Int) -> Workload {
        let load = Load.pipe(count, bodyBytes: bodyBytes)
        return Workload(
            name: "pipe-\(bodyBytes)-\(count)x\(count)",
            summary: "\(count) producers to \(count) consumers, prefetch \(load.prefetch), "
                + "\(bodyBytes)-byte bodies",
            kind: .timed,
            load: load
        )
    }

    private static func backlog(messages: Int, label: String) -> Workload {
        Workload(
            name: "backlog-256-\(label)",
            summary: "\(messages) messages unread in 10 queues: memory, restart, drain, disk",
            kind: .backlog,
            load: Load(
                producers: 16,
                window: 100,
                queues: 10,
                isSpread: true,
                bodyBytes: 256,
                messages: messages
            ),
            isLong: messages > 1_000_000
        )
    }

    private static func disk(bodyBytes: Int) -> Workload {
        var load = Load.pipe(4, bodyBytes: bodyBytes)
        load.messages = 2_000_000_000 / bodyBytes
        return Workload(
            name: "disk-\(bodyBytes)",
            summary: "2 GB of \(bodyBytes)-byte bodies sent and consumed: bytes written to disk",
            kind: .disk,
            load: load,
            isLong: true
        )
    }

    private static let neighbours = Workload(
        name: "bad-neighbours",
        summary: "2 producers to 2 consumers, alone and beside clients that stall and misbehave",
        kind: .neighbours,
        load: .pipe(2, bodyBytes: 256)
    )

    private static let packed = Workload(
        name: "packed",
        summary: "600000 JSON bodies of 1 KiB left until packed: disk used, a cold consumer",
        kind: .packed,
        load: Load(
            producers: 4,
            window: 100,
            bodyBytes: 1024,
            body: .json,
            messages: 600_000
        ),
        isLong: true
    )
}
