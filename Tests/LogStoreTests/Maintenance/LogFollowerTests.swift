import Base
import LogStore
import Testing

@Suite struct LogFollowerTests {
    /// A store that a test appends to while a follower reads.
    private final class Followed {
        let store: InlineStore<PosixFileSystem>
        let queue: QueueID
        private var sent = 0

        init(_ directory: String) throws {
            var options = SampleStore.options
            options.segmentBytes = 8 << 10
            store = try InlineStore(PosixFileSystem(), directory, options)
            queue = store.store.queueNames.first?.id ?? store.store.declare("/queue/a")
            store.run()
        }

        func send(_ count: Int, unit: Bool = false) {
            if unit { store.store.beginUnit(bytes: 100 * count) }
            for _ in 0..<count {
                let body = [UInt8](repeating: 5, count: 60)
                _ = store.store.enqueue(
                    headers: body.span.bytes.extracting(0..<0),
                    body: body.span.bytes,
                    to: queue,
                    at: WallTime(milliseconds: 1)
                )
            }
            if unit { store.store.endUnit() }
            store.run()
        }
    }

    private func poll(_ follower: inout LogFollower<PosixFileSystem>) throws -> [UInt64] {
        var found: [UInt64] = []
        _ = try follower.poll { message, _, _ in
            #expect(message.entries.allSatisfy { $0.name == "/queue/a" })
            found += message.entries.map(\.sequence.value)
            return true
        }
        return found
    }

    @Test("new messages come once and in order, through seals, units and reopenings")
    func follows() throws {
        try withTemporaryDirectory { directory in
            var followed = try Followed(directory)
            followed.send(3)
            var follower = try LogFollower(PosixFileSystem(), directory: directory)
            #expect(try poll(&follower) == [])
            followed.send(2)
            #expect(try poll(&follower) == [4, 5])
            followed.send(4, unit: true)
            #expect(try poll(&follower) == [6, 7, 8, 9])
            for _ in 0..<40 { followed.send(10) }
            #expect(try poll(&follower) == Array(10...409))
            followed.store.close()
            followed = try Followed(directory)
            followed.send(5)
            #expect(try poll(&follower) == Array(410...414))
            #expect(follower.notes == [])
            followed.store.close()
        }
    }

    @Test("segments that went before they were read are told, and the rest comes")
    func lagging() throws {
        try withTemporaryDirectory { directory in
            let followed = try Followed(directory)
            followed.send(1)
            var follower = try LogFollower(PosixFileSystem(), directory: directory)
            for _ in 0..<60 { followed.send(10) }
            followed.store.store.purge(followed.queue, below: EntrySequence(580))
            for _ in 0..<8 {
                followed.store.now = followed.store.now.advanced(by: .seconds(2))
                followed.store.store.tick(followed.store.instant)
                followed.store.run()
            }
            #expect(try !PosixFileSystem().list(directory).contains(FileNames.segment(1)))
            let found = try poll(&follower)
            #expect(found.last == 601 && found.count < 600)
            #expect(follower.notes.count == 1)
            followed.store.close()
        }
    }
}
