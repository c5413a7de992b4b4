import LogStore
import Logging

/// Log lines about damage in the store.
enum DamageLog {
    /// One range of bytes can concern thousands of queues; `verify` names them all.
    static let queuesMax = 10

    /// Writes a line for each queue that a damaged range concerns, up to `queuesMax`; returns how many ranges
    /// there were.
    ///
    /// Items about the same range follow each other in `list`.
    static func write(_ list: [Damage], to logger: Logger) -> Int {
        var ranges = 0
        var rest = list[...]
        while let first = rest.first {
            let same = rest.prefix { $0.file == first.file && $0.offset == first.offset }
            rest = rest[same.endIndex...]
            ranges += 1
            for damage in same.prefix(queuesMax) {
                logger.error("damage in the store", metadata: [LogKeys.detail: "\(damage)"])
            }
            guard same.count > queuesMax else { continue }
            let more = same.count - queuesMax
            let detail = "\(first.file), offset \(first.offset): \(more) queues more"
            logger.error(
                "damage in the store; radiator-log verify names all queues",
                metadata: [LogKeys.detail: "\(detail)"]
            )
        }
        return ranges
    }
}
