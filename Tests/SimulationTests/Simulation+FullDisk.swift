import Base
import TestSupport

@testable import LogStore

/// A store on a small disk: it fills, sends are refused, everything else goes on, space comes back.
extension Simulation {
    /// A disk of some segments more than what is kept free.
    static func drawFullDisk(
        _ options: inout LogStoreOptions,
        _ random: inout SeededGenerator
    ) -> Int {
        options.segmentBytes = [16, 32, 64].randomElement(using: &random).map { $0 << 10 } ?? 0
        options.preallocates = !random.oneIn(4)
        options.minFreeDiskBytes = options.segmentBytes * Int.random(in: 4...6, using: &random)
        options.reserveBytes = options.segmentBytes * Int.random(in: 2...3, using: &random)
        return options.minFreeDiskBytes + options.reserveBytes
            + options.segmentBytes * Int.random(in: 5...12, using: &random)
    }

    /// Plays fill and drain, with crashes in between.
    func runOnFullDisk() throws {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            if random.oneIn(3) {
                files.crashAtOperation =
                    files.operationCount + Int.random(in: 1...300, using: &random)
            }
            try fillDisk()
            try workWhileRefused()
            switch Int.random(in: 0..<3, using: &random) {
            case 0: try letOthersFill()
            case 1: try consumeWhileOthersFill()
            default: break
            }
            if failure != nil || random.oneIn(3) { try die() }
            files.crashAtOperation = nil
            try makeRoom()
        }
        try stopCleanly()
    }

    /// Sends until the store refuses.
    private func fillDisk() throws {
        let workMax = random.oneIn(2) ? 2 : 8
        for _ in 0..<5_000 {
            guard failure == nil, store.refusal == nil else { return }
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                if random.oneIn(12) { try call() } else { enqueue() }
            }
            endTurn()
            for _ in 0..<Int.random(in: 0...workMax, using: &random) where failure == nil {
                try work()
            }
        }
        throw SimulationFailure(text: "5,000 turns of sends do not fill \(capacityBytes ?? 0)")
    }

    /// Everything but sends; enough of it to fill some segments.
    private func workWhileRefused() throws {
        for _ in 0..<Int.random(in: 10...60, using: &random) {
            guard failure == nil else { return }
            for _ in 0..<Int.random(in: 0...60, using: &random) { callWithoutSending() }
            endTurn()
            for _ in 0..<Int.random(in: 1...8, using: &random) where failure == nil { try work() }
        }
        try settleDown()
    }

    private func callWithoutSending() {
        counts[.calls] += 1
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<85: requeue()
        case 85..<97: settleAnywhere()
        case 97: purge()
        case 98: declare()
        default: store.requestCheckpoint()
        }
    }

    /// Brings all that was appended to the disk, which must have room for it.
    private func settleDown() throws {
        for _ in 0..<3 {
            now = now.advanced(by: .seconds(10))
            guard failure == nil else { return }
            store.tick(instant)
            noteTurnEnd()
            takeJobs()
            try drain()
        }
        guard failure != nil || store.pendingGroup == nil else {
            let names = (try? files.list(Self.directory)) ?? []
            throw SimulationFailure(
                text: "what was appended does not become durable; there are \(names.sorted())"
            )
        }
        counts[.fullDisks] += 1
    }

    /// Another process takes what is left of the disk, and gives it back.
    private func letOthersFill() throws {
        guard failure == nil else { return }
        note("the disk is full")
        isDiskTaken = true
        files.capacityBytes = files.usedBytes
        for _ in 0..<Int.random(in: 1...30, using: &random) {
            guard failure == nil else { break }
            for _ in 0..<Int.random(in: 0...60, using: &random) { callWithoutSending() }
            endTurn()
            for _ in 0..<Int.random(in: 1...8, using: &random) where failure == nil { try work() }
        }
        note("the disk has room again")
        files.capacityBytes = capacityBytes
        isDiskTaken = false
        try settleDown()
    }

    /// Another process takes what is left of the disk, and whatever comes back; all messages can be
    /// consumed nevertheless, out of the reserve.
    private func consumeWhileOthersFill() throws {
        files.crashAtOperation = nil
        guard failure == nil, holdsReserve else { return }
        note("the disk is full, and all is consumed")
        isDiskTaken = true
        files.capacityBytes = files.usedBytes
        for (id, queue) in history.current.queues.sorted(by: { $0.key < $1.key }) {
            for entry in queue.entries {
                if random.oneIn(8) {
                    files.capacityBytes = min(files.capacityBytes ?? .max, files.usedBytes)
                }
                store.settle(QueueID(id), EntrySequence(entry.sequence), bytes: nil, reason: 1)
                history.append(.change(.settle(id, entry.sequence)))
                if random.oneIn(3) { endTurn() }
                if random.oneIn(2) { try drain() }
            }
        }
        try settleDown()
        guard failure == nil else { return }
        files.capacityBytes = capacityBytes
        isDiskTaken = false
        counts[.consumedFullDisks] += 1
        try settleDown()
    }

    private var holdsReserve: Bool {
        let names = try? files.list(Self.directory)
        return names?.contains(FileNames.reserve) ?? false
    }

    /// Consumes everything, after which sends must be taken again.
    private func makeRoom() throws {
        for (id, queue) in history.current.queues.sorted(by: { $0.key < $1.key }) {
            store.purge(QueueID(id), below: EntrySequence(queue.next))
            history.append(.change(.purge(id, below: queue.next)))
        }
        for _ in 0..<3 { try settleDown() }
        guard failure == nil else { return }
        guard store.refusal == nil, refusal == nil else {
            throw SimulationFailure(
                text: "all is consumed, \((try? files.freeBytes(Self.directory)) ?? 0) bytes are "
                    + "free, and sends are refused: \(store.refusal ?? "") (\(refusal ?? ""))"
            )
        }
    }
}
