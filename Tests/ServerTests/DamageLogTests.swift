import LogStore
import Testing

@testable import Server

@Suite("Log lines about damage")
struct DamageLogTests {
    private func damage(_ offset: Int, queues: Int) -> [Damage] {
        (0..<queues).map {
            Damage(file: "f", offset: offset, length: 8, queue: "/queue/\($0)", reason: "broken")
        }
    }

    @Test("each range counts once, and the first queues of each are named")
    func manyQueues() {
        let lines = LogLines()
        let list = damage(64, queues: 2) + damage(128, queues: 4_000) + damage(256, queues: 10)
        #expect(DamageLog.write(list, to: lines.logger) == 3)
        #expect(lines.all.count == 2 + DamageLog.queuesMax + 1 + 10)
        #expect(
            lines.beginning("damage in the store detail=f: 8 bytes at offset 128").count
                == DamageLog.queuesMax
        )
        let more = lines.beginning("damage in the store; radiator-log verify names all queues")
        #expect(more.map { $0.hasSuffix("detail=f, offset 128: 3990 queues more") } == [true])
    }

    @Test("no damage, no line")
    func none() {
        let lines = LogLines()
        #expect(DamageLog.write([], to: lines.logger) == 0)
        #expect(lines.all == [])
    }
}
