import Base
import TestSupport
import Testing

@testable import LogStore

/// Packing: disk comes back, messages stay, damage costs a block.
@Suite struct PackingTests {
    private static let options = {
        var options = LogStoreOptions()
        options.segmentBytes = 256 << 10
        options.chunkBytes = 16 << 10
        options.tailBytes = 16 << 10
        options.minFreeDiskBytes = 0
        options.preallocates = false
        options.packGainBytesMin = 4 << 10
        options.packBytesPerSecond = 1 << 30
        return options
    }()

    /// A body that compresses like JSON and tells its number.
    private static func body(_ number: UInt64) -> [UInt8] {
        let name = "customer-\(number % 97)"
        return Array(
            """
            {"order": \(number), "customer": "\(name)", "status": "accepted", "currency": "EUR", \
            "lines": [{"sku": "A-\(number * 7)", "quantity": 3, "price": "19.90"}]}
            """.utf8
        )
    }

    private func send(_ count: Int, _ store: ManualStore, _ queue: QueueID) {
        let none: [UInt8] = []
        for _ in 0..<count {
            let next = store.store.depth(queue)?.next.value ?? 0
            _ = store.store.enqueue(
                headers: none.span.bytes,
                body: Self.body(next).span.bytes,
                to: queue,
                at: WallTime(milliseconds: 1)
            )
            if next % 50 == 0 { store.drain() }
        }
        store.drain()
    }

    /// 10,000 messages, of which one in 100 is unsettled, and time for packing.
    private func packedStore() throws -> (ManualStore, QueueID) {
        let store = try ManualStore(Self.options)
        let queue = store.store.declare("/queue/a")
        send(10_000, store, queue)
        for sequence in 1...UInt64(10_000) where sequence % 100 != 0 {
            store.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
        }
        rest(store)
        return (store, queue)
    }

    private func rest(_ store: ManualStore, seconds: UInt64 = 1) {
        for _ in 0..<40 {
            store.tick(after: .seconds(seconds))
            store.drain()
        }
        _ = store.store.takeNotices()
    }

    private func read(
        _ store: ManualStore,
        _ queue: QueueID
    ) -> (bodies: [UInt64: [UInt8]], damage: [Damage]) {
        var bodies: [UInt64: [UInt8]] = [:]
        var damage: [Damage] = []
        var next: UInt64 = 1
        while let depth = store.store.depth(queue), next < depth.next.value {
            let start = store.store.fetch(
                queue,
                from: EntrySequence(next),
                messagesMax: 64,
                bytesMax: 1 << 16
            ) { entry, _, body in
                bodies[entry.sequence.value] = body.array(0..<body.byteCount)
            }
            if case .completed(let after) = start {
                next = after.value
                continue
            }
            store.drain()
            for notice in store.store.takeNotices() {
                if case .damaged(let found) = notice { damage += found }
                guard case .fetched(let result) = notice else { continue }
                next = result.next.value
                for item in result.items {
                    bodies[item.sequence.value] = result.bytes.span.bytes.array(item.body)
                }
            }
        }
        return (bodies, damage)
    }

    private func isWhole(_ store: ManualStore, _ queue: QueueID) -> Bool {
        let (bodies, damage) = read(store, queue)
        return damage.isEmpty && bodies.count == 100
            && bodies.allSatisfy { $0.key % 100 == 0 && $0.value == Self.body($0.key) }
    }

    private func names(_ store: ManualStore, _ prefix: String) throws -> [String] {
        try store.files.list("/data").filter { $0.hasPrefix(prefix) }.sorted()
    }

    @Test("one unsettled message in 100: hardly more than those stays on disk, and is read")
    func sparse() throws {
        let (store, queue) = try packedStore()
        #expect(try names(store, "segment").count == 1, "only the active one")
        #expect(try names(store, "packed").count > 3)
        let live = 100 * 160
        #expect(store.files.usedBytes < 3 * live + 4 * Self.options.segmentBytes)
        var packedBytes = 0
        for name in try names(store, "packed") {
            let file = try store.files.open("/data/" + name, .read)
            packedBytes += try store.files.size(file)
            store.files.close(file)
        }
        #expect(packedBytes < 2 * live)
        #expect(isWhole(store, queue))
    }

    @Test("packed segments serve after a restart, with and without checkpoints")
    func restart() throws {
        let (store, _) = try packedStore()
        store.files.kill()
        var again = try ManualStore(Self.options, on: store.files)
        var queue = try #require(again.store.queueNames.first?.id)
        #expect(again.report.damage == [] && again.report.unknownFiles == [])
        #expect(isWhole(again, queue))
        again.files.kill()
        for name in try names(again, "checkpoint") { try again.files.remove("/data/" + name) }
        again = try ManualStore(Self.options, on: store.files)
        queue = try #require(again.store.queueNames.first?.id)
        #expect(again.store.queueNames.map(\.name) == ["/queue/a"])
        #expect(again.report.damage == [])
        #expect(isWhole(again, queue))
        rest(again)
        #expect(isWhole(again, queue))
    }

    @Test("on a scarce disk the next segment waits until the last ones have given their disk back")
    func scarceDisk() throws {
        var options = Self.options
        options.minFreeDiskBytes = 8 << 20
        options.packCodec = .stored
        let files = SimulatedFileSystem(seed: 1)
        files.capacityBytes = 1 << 30
        let store = try ManualStore(options, on: files)
        let queue = store.store.declare("/queue/a")
        send(10_000, store, queue)
        for sequence in 1...UInt64(10_000) where sequence % 5 < 3 {
            store.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
        }
        store.drain()
        // Others take the rest but for little more than one packed form.
        let taken = try (1 << 30) - files.freeBytes("/data")
        files.capacityBytes = taken + (256 << 10)
        var packs = 0
        for _ in 0..<100 {
            store.tick(after: .seconds(1))
            store.endTurn()
            while let job = store.takeFirst() {
                if case .pack = job { packs += 1 }
                store.complete(store.perform(job))
                // Segments of which more than one form is there.
                let forms = try files.list("/data").filter { !$0.hasSuffix(".chk") }
                    .map { $0.drop { $0 != "-" }.dropFirst().prefix(10) }
                let doubled = Dictionary(grouping: forms) { $0 }.count { $0.value.count > 1 }
                if try files.freeBytes("/data") < 256 << 10 { #expect(doubled <= 1) }
            }
        }
        #expect(store.store.isSpaceLow, "to the end")
        #expect(packs > 3, "and nevertheless all is packed")
        #expect(try files.list("/data").count { $0.hasSuffix(".log") } <= 2)
    }

    @Test("what is settled of a packed segment gives its disk back, too")
    func packedAgain() throws {
        let (store, queue) = try packedStore()
        for sequence in stride(from: UInt64(100), through: 10_000, by: 100) {
            store.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
        }
        rest(store)
        #expect(try names(store, "packed") == [])
        #expect(try names(store, "segment").count == 1)
    }

    @Test(
        "resting messages are compressed to less than 40 percent, and served",
        arguments: [BlockCodec.zlib, .zstd]
    )
    func cold(_ codec: BlockCodec) throws {
        var options = Self.options
        options.packCodec = codec
        let store = try ManualStore(options)
        let queue = store.store.declare("/queue/a")
        send(10_000, store, queue)
        rest(store, seconds: 30)
        let packed = try names(store, "packed")
        #expect(packed.count > 3)
        let used = store.files.usedBytes - Self.options.segmentBytes
        #expect(used < 10_000 * 150 * 2 / 5)
        let (bodies, damage) = read(store, queue)
        #expect(damage.isEmpty && bodies.count == 10_000)
        #expect(bodies.allSatisfy { $0.value == Self.body($0.key) })
    }

    @Test("damage in a packed segment costs the messages of one block, by name")
    func damagedBlock() throws {
        let store = try ManualStore(Self.options)
        let queue = store.store.declare("/queue/a")
        send(3_000, store, queue)
        rest(store, seconds: 30)
        let name = try #require(try names(store, "packed").first)
        let file = try store.files.open("/data/" + name, .update)
        let zeros = [UInt8](repeating: 0, count: 64)
        try store.files.write(file, at: 200, zeros.span.bytes)
        store.files.close(file)
        let (bodies, damage) = read(store, queue)
        let lost = damage.flatMap { $0.entries.flatMap { Array($0.first..<$0.end) } }
        #expect(!lost.isEmpty && lost.count < 1_000)
        #expect(damage.allSatisfy { $0.file == name && $0.queue == "/queue/a" })
        #expect(bodies.count + lost.count == 3_000 && Set(lost).isDisjoint(with: bodies.keys))
        #expect(bodies.allSatisfy { $0.value == Self.body($0.key) })
        let report = try Verifier.run(store.files, directory: "/data", isLive: true)
        #expect(report.damage.map(\.file) == [name])
    }

    @Test(
        "killed at any step of packing, and without the newest checkpoint, nothing is missing",
        arguments: [false, true]
    )
    func killedWhilePacking(losesCheckpoint: Bool) throws {
        for steps in stride(from: 0, through: 120, by: 4) {
            let store = try ManualStore(Self.options)
            let queue = store.store.declare("/queue/a")
            send(3_000, store, queue)
            for sequence in 1...UInt64(3_000) where sequence % 100 != 0 {
                store.store.settle(queue, EntrySequence(sequence), bytes: nil, reason: 1)
            }
            store.drain()
            store.store.requestCheckpoint()
            store.drain()
            for _ in 0..<steps {
                if store.jobs.isEmpty { store.tick(after: .seconds(1)) }
                if let job = store.takeFirst() { store.complete(store.perform(job)) }
            }
            store.files.kill()
            let checkpoints = try names(store, "checkpoint").filter { $0.hasSuffix(".chk") }
            if losesCheckpoint, checkpoints.count > 1, let newest = checkpoints.last {
                try store.files.remove("/data/" + newest)
            }
            let again = try ManualStore(Self.options, on: store.files)
            #expect(again.report.damage == [], "after \(steps) steps")
            let (bodies, damage) = read(again, queue)
            #expect(damage.isEmpty && bodies.count == 30, "after \(steps) steps")
            #expect(bodies.allSatisfy { $0.value == Self.body($0.key) })
            rest(again)
            #expect(try names(again, "segment").count == 1, "after \(steps) steps")
        }
    }
}
