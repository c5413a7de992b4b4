extension Damage {
    /// One item for neighbours that have one file, queue and reason, so that a ruined segment makes a
    /// few lines and not thousands.
    static func merged(_ damage: [Damage]) -> [Damage] {
        var result: [Damage] = []
        for item in damage {
            guard let last = result.last, last.reason == item.reason, last.file == item.file,
                last.queue == item.queue
            else {
                result.append(item)
                continue
            }
            var entries = last.entries
            for range in item.entries {
                if let end = entries.last?.end, end == range.first {
                    entries[entries.count - 1].count += range.count
                } else {
                    entries.append(range)
                }
            }
            let start = min(last.offset, item.offset)
            let end = max(last.offset + last.length, item.offset + item.length)
            result[result.count - 1] = Damage(
                file: item.file,
                offset: start,
                length: end - start,
                queue: item.queue,
                entries: entries,
                reason: item.reason
            )
        }
        return result
    }
}
