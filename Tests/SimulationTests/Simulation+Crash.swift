import Base
import TestSupport

@testable import LogStore

/// The ends of a life, and what must be left of it.
extension Simulation {
    /// Ends the process or cuts the power, opens the store again, and compares.
    func die() throws {
        isDiskTaken = false
        learnLateResults()
        var isPowerCut = endProcess()
        if random.oneIn(3) { jumpClock() }
        while !(try reopen(&isPowerCut)) {}
        try compare(atLeast: isPowerCut ? syncedPlace : max(syncedPlace, writtenPlace))
    }

    /// Opens the store; false if that was cut off, by another crash or a call that failed.
    private func reopen(_ isPowerCut: inout Bool) throws -> Bool {
        let diesAgain = random.oneIn(3)
        if diesAgain {
            files.crashAtOperation =
                files.operationCount + Int.random(in: 1...12, using: &random)
        }
        if kind == .faults, random.oneIn(3) { orderOpeningFault() }
        counts[.openings] += 1
        do {
            let opened = try Self.open(files, options, wall, &random)
            files.crashAtOperation = nil
            files.clearFaults()
            files.capacityBytes = capacityBytes
            guard !files.isDead else { throw SimulationFailure(text: "opened while dead") }
            try judgeOpening(files.takeStrikes())
            try begin(opened)
            return true
        } catch let error as LogStoreError {
            guard case .file(let cause) = error else {
                throw SimulationFailure(text: "the store does not open: \(error)")
            }
            if cause.isDeadProcess, diesAgain {
                note("died in recovery: \(cause)")
                counts[.deathsInRecovery] += 1
            } else {
                try judgeFailedOpening(cause, files.takeStrikes())
            }
            if endProcess() { isPowerCut = true }
            return false
        }
    }

    /// Stops in order and starts again, which loses nothing.
    func stopCleanly() throws {
        files.crashAtOperation = nil
        files.clearFaults()
        files.capacityBytes = capacityBytes
        // The result of a write that failed may still be on its way.
        if !files.isDead { try drain() }
        if failure != nil || files.isDead { try die() }
        endTurn()
        try drain()
        // What found no space is tried again at a tick.
        store.tick(instant)
        noteTurnEnd()
        takeJobs()
        try drain()
        store.requestCheckpoint()
        endTurn()
        try drain()
        guard store.pendingGroup == nil || options.fsync != .always else {
            throw SimulationFailure(text: "the log is not durable at a clean stop")
        }
        if random.oneIn(3) { try settleEverything() }
        writtenPlace = history.place
        writer.close()
        files.close(lock)
        guard files.openFileCount == 0 else {
            throw SimulationFailure(text: "\(files.openFileCount) files are left open")
        }
        files.kill()
        try begin(try Self.open(files, options, wall, &random))
        try compare(atLeast: writtenPlace)
    }

    /// With nothing unsettled, the disk holds hardly more than the active segment.
    private func settleEverything() throws {
        for (id, queue) in history.current.queues {
            store.purge(QueueID(id), below: EntrySequence(queue.next))
            history.append(.change(.purge(id, below: queue.next)))
        }
        for _ in 0..<6 {
            now = now.advanced(by: .seconds(10))
            store.tick(instant)
            noteTurnEnd()
            takeJobs()
            noteTurnEnd()
            try drain()
        }
        let names = try files.list(Self.directory).filter {
            $0.hasPrefix("segment") || $0.hasPrefix("packed")
        }
        guard names.count <= 2 else {
            throw SimulationFailure(text: "nothing is unsettled, but there are \(names)")
        }
    }

    /// Lets the store hear of what was done before the end, so that it reports what is durable.
    private func learnLateResults() {
        guard failure == nil else { return }
        for result in results {
            guard case .written = result else { continue }
            store.complete(result, now: now)
        }
    }

    /// Kills the process or cuts the power; true for the latter.
    private func endProcess() -> Bool {
        jobs.removeAll()
        results.removeAll()
        files.clearFaults()
        _ = files.takeStrikes()
        files.capacityBytes = capacityBytes
        let isPowerCut = !random.oneIn(3)
        note(isPowerCut ? "POWER CUT" : "KILL")
        if isPowerCut {
            counts[.powerCuts] += 1
            files.crash(lossTeller)
        } else {
            counts[.kills] += 1
            files.kill()
        }
        return isPowerCut
    }

    /// Begins the next life.
    func begin(_ opened: Recovery<Files>.Opened) throws {
        store = opened.store
        lock = opened.lock
        worker = StoreWorker(
            files,
            directory: Self.directory,
            store: store.id,
            reserveBytes: options.reserveBytes,
            bypassesCache: options.writesPastCache
        )
        writer = worker.makeWriter()
        failure = nil
        refusal = nil
        metFaults = false
        fatalFault = nil
        fetches.removeAll()
        turns.removeAll()
        note("opened: \(opened.report)")
        if opened.report.tornBytes > 0 { counts[.tornTails] += 1 }
        guard toleratesDamage || opened.report.damage.isEmpty,
            toleratesDamage || opened.report.unusedCheckpoints.isEmpty
        else {
            throw SimulationFailure(text: "a crash is taken for damage: \(opened.report)")
        }
    }

    // MARK: - Comparing

    private func compare(atLeast kept: Int) throws {
        let found = try readEverything()
        if let problem = history.recover(found, atLeast: kept) {
            throw SimulationFailure(text: "after the crash \(problem)")
        }
        note("as the model allows: \(found.summary); \(history.lostCount) units are lost")
        counts[.lostUnits] += history.lostCount
        writtenPlace = history.place
        syncedPlace = history.place
        turnPlace = history.place
        takeJobs()
    }

    /// Reads what the store holds, and checks each message by what was ever sent under its name.
    func readEverything() throws -> ModelState {
        var state = ModelState()
        for (id, name) in store.queueNames {
            guard let depth = store.depth(id) else {
                throw SimulationFailure(text: "queue \(id.value) has a name and no depth")
            }
            var queue = ModelQueue(name: name, next: depth.next.value)
            var from: UInt64 = 0
            while from < depth.next.value {
                let (entries, next) = try readRun(id, from: from)
                for entry in entries { queue.entries.append(try identify(id.value, entry)) }
                guard next > from else {
                    throw SimulationFailure(text: "queue \(id.value) cannot be read past \(from)")
                }
                from = next
            }
            guard
                !damage.isEmpty
                    || queue.entries.count == depth.messages,
                !damage.isEmpty
                    || queue.entries.first.map(\.sequence) ?? depth.next.value
                        == depth.first.value
            else {
                throw SimulationFailure(
                    text: "queue \(id.value) has \(queue.entries.count) entries, but says \(depth)"
                )
            }
            try checkTimes(id, queue)
            state.queues[id.value] = queue
        }
        return state
    }

    /// No entry may expire, or have been taken, before the bound of its run.
    private func checkTimes(_ id: QueueID, _ queue: ModelQueue) throws {
        let runs = store.times(id)
        for entry in queue.entries {
            guard let run = runs.last(where: { $0.first.value <= entry.sequence }),
                run.taken <= entry.content.time,
                entry.content.expires == 0 || run.expires <= entry.content.expires
            else {
                throw SimulationFailure(
                    text: "queue \(id.value): the bounds \(runs) do not hold for \(entry)"
                )
            }
        }
    }

    private func readRun(
        _ id: QueueID,
        from: UInt64
    ) throws -> (entries: [FetchedEntry], next: UInt64) {
        var entries: [FetchedEntry] = []
        let start = store.fetch(
            id,
            from: EntrySequence(from),
            messagesMax: 64,
            bytesMax: 1 << 20
        ) { entry, headers, body in
            entries.append(
                FetchedEntry(
                    sequence: entry.sequence.value,
                    requeue: entry.requeue,
                    time: entry.time,
                    expires: entry.expires,
                    headers: headers.withUnsafeBytes { Array($0) },
                    body: body.withUnsafeBytes { Array($0) }
                )
            )
        }
        if case .completed(let next) = start { return (entries, next.value) }
        takeJobs()
        guard let index = jobs.lastIndex(where: { if case .read = $0 { true } else { false } })
        else {
            throw SimulationFailure(text: "a fetch is pending without a job")
        }
        store.complete(result(of: jobs.remove(at: index)), now: now)
        for notice in store.takeNotices() {
            switch notice {
            case .fetched(let result): return (Self.entries(of: result), result.next.value)
            case .damaged(let found) where toleratesDamage:
                damage += found
            case .damaged(let damage):
                throw SimulationFailure(text: "a crash is taken for damage: \(damage)")
            default: break
            }
        }
        throw SimulationFailure(text: "a read brought nothing")
    }

    private func identify(_ id: UInt32, _ entry: FetchedEntry) throws -> ModelEntry {
        let sent = everSent[SettleKey(queue: id, sequence: entry.sequence)]
        guard let content = toleratesDamage ? sent : history.content(id, entry.sequence) else {
            throw SimulationFailure(
                text: "queue \(id) has entry \(entry.sequence), settled for good or never sent"
            )
        }
        guard entry.matches(content) else {
            throw SimulationFailure(
                text: "queue \(id) has entry \(entry.sequence) with other bytes than were sent"
            )
        }
        return ModelEntry(
            sequence: entry.sequence,
            content: content,
            requeue: entry.requeue
        )
    }
}
