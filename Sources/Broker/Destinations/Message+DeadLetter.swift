import Base
import NIOCore

// The headers of a dead letter (docs/protocol-stomp.md, "Dead letters"). They stand before the others,
// and take the place of those of an earlier death.
//
//     dead-letter-from          the queue that it was in
//     dead-letter-reason        rejected, max_deliveries or expired
//     dead-letter-deliveries    how often it was delivered there
//     dead-letter-time          when it died, in ms since 1970
//     dead-letter-count         how often it has died
//
// `expires` and `expiration` go: the letter is to be read however late.

extension Message {
    /// The same message as it goes to a dead-letter queue.
    func deadLetter(
        from queue: String,
        _ reason: DeathReason,
        deliveries: UInt32,
        at now: WallTime
    ) -> Message {
        let (rest, deaths) = linesOfOthers()
        var block = ByteBufferAllocator().buffer(capacity: rest.readableBytes + 256)
        block.writeString("dead-letter-from:")
        block.writeString(
            queue.split(separator: ":", omittingEmptySubsequences: false)
                .joined(separator: "\\c")
        )
        block.writeString("\ndead-letter-reason:\(reason.rawValue)")
        block.writeString("\ndead-letter-deliveries:\(deliveries)")
        block.writeString("\ndead-letter-time:\(now.milliseconds)")
        block.writeString("\ndead-letter-count:\(deaths + 1)\n")
        block.writeImmutableBuffer(rest)
        return Message(headers: block, body: body)
    }

    /// The header lines but those that a death writes or takes away, and how many deaths they told of.
    private func linesOfOthers() -> (rest: ByteBuffer, deaths: UInt64) {
        var rest = ByteBuffer()
        var deaths: UInt64 = 0
        let lineFeed = UInt8(ascii: "\n")
        for line in headers.readableBytesView.split(separator: lineFeed) {
            if line.starts(with: "dead-letter-".utf8) {
                let count = "dead-letter-count:"
                if line.starts(with: count.utf8) {
                    deaths =
                        UInt64(Substring(decoding: line.dropFirst(count.utf8.count), as: UTF8.self))
                        ?? 0
                }
                continue
            }
            if line.starts(with: "expires:".utf8) || line.starts(with: "expiration:".utf8) {
                continue
            }
            rest.writeBytes(line)
            rest.writeInteger(lineFeed)
        }
        return (rest, min(deaths, .max - 1))
    }
}
