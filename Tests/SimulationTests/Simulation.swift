import Base
import Glibc
import TestSupport

@testable import LogStore

// One simulation: a store over a simulated disk, driven step by step from one thread by one seed.
//
// A run is several lives. In each the workload calls the store and notes every call in the model's
// history, ends turns, lets jobs be performed in a drawn order and their results arrive late. A life
// ends by a power cut or a killed process, between steps or inside any call to the disk; then the
// store is opened again, perhaps dying again while it recovers, and what it holds must be something
// that the history allows. The last life ends cleanly, and must lose nothing.

/// What a simulation found wrong.
struct SimulationFailure: Error {
    let text: String
}

/// What a run tries.
enum SimulationKind: String, CaseIterable, Sendable {
    /// Power cuts and killed processes at any point.
    case crashes
    /// Calls to the disk that fail, for a while or for good, and a wall clock that jumps.
    case faults
    /// The same under the rules that do not sync each group.
    case lazySync
    /// A small disk, filled and emptied.
    case fullDisk
    /// Bits and sectors that change between two lives.
    case damage
}

/// One seeded run.
final class Simulation {
    typealias Files = SimulatedFileSystem

    static let directory = "/data"

    let kind: SimulationKind
    let sectorSizeBytes: Int
    let seed: UInt64
    var random: SeededGenerator
    let files: SimulatedFileSystem
    var options = LogStoreOptions()
    /// Small groups are written as by the ring.
    let usesRing: Bool
    var history = ModelHistory()
    /// The name of the queue that was deleted last.
    var deletedName: String?
    var now = MonotonicTime(nanoseconds: 0)

    // One life.

    var store: LogStore
    var lock: Files.File
    var worker: StoreWorker<Files>
    var writer: SegmentWriter<Files>
    /// Jobs that nobody has performed yet.
    var jobs: [StoreJob] = []
    /// Results that the store was not told yet.
    var results: [StoreResult] = []
    /// The group that ends at the end of a turn, and the history's place there.
    var turns: [(group: UInt64, place: Int)] = []
    /// Where the last turn ended.
    var turnPlace = 0
    /// The place of the history when the last turn ended, noted or not.
    private var endedPlace = 0
    /// Before this place everything is written, and safe from a killed process.
    var writtenPlace = 0
    /// Before this place everything is synced, and safe from a power cut.
    var syncedPlace = 0
    /// The queues with an open fetch, and where it began.
    var fetches: [UInt32: UInt64] = [:]
    /// The error with which the store ended.
    var failure: FileError?
    /// Why the store last said that it refuses sends.
    var refusal: String?
    /// The disk's size, if it is to become full, and the largest body that is then sent.
    var capacityBytes: Int?
    var bodyBytesMax: Int?
    /// Whether something else took all free space, so that writes may find none.
    var isDiskTaken = false
    /// What every entry was sent with, and the damage that reads met; kept when damage is done.
    var everSent: [SettleKey: Content] = [:]
    var toleratesDamage = false
    var damage: [Damage] = []
    /// Whether a call to the disk failed in this life because it was told to.
    var metFaults = false
    /// The failed call that must end the store, if there was one.
    var fatalFault: SimulatedStrike?
    /// Files that the last opening could not remove.
    var untidied: Set<String> = []
    /// How far the wall clock stands from where it would be without jumps.
    var wallSkewMilliseconds: Int64 = 0

    // What happened, for statistics and failures.

    /// How much of a run is told.
    enum Telling {
        case nothing
        /// The last events are kept for a failure's message.
        case end
        /// Each step is printed when it happens.
        case steps
    }

    var counts = SimulationCounts()
    let telling: Telling
    private var trace: [String] = []
    private var stepNumber = 0

    /// Both clocks; the wall clock jumps.
    var instant: Instant { Instant(monotonic: now, wall: wall) }

    var wall: WallTime {
        let milliseconds =
            Int64(now.nanoseconds / 1_000_000) + 1_000_000_000_000 + wallSkewMilliseconds
        return WallTime(milliseconds: UInt64(max(0, milliseconds)))
    }

    /// Prepares a run.
    init(seed: UInt64, _ kind: SimulationKind = .crashes, telling: Telling = .nothing) throws {
        self.kind = kind
        self.seed = seed
        self.telling = telling
        random = SeededGenerator(seed: seed)
        let filesSeed = random.next()
        sectorSizeBytes = random.oneIn(3) ? 4_096 : 512
        files = SimulatedFileSystem(
            seed: filesSeed,
            options: .init(
                sectorSizeBytes: sectorSizeBytes,
                keepsNameOrder: !random.oneIn(3)
            )
        )
        options = Self.draw(&random)
        usesRing = random.oneIn(2)
        if kind == .lazySync {
            options.fsync =
                random.oneIn(2)
                ? .never : .every(.milliseconds(.random(in: 1...40, using: &random)))
        }
        // Packed segments of several blocks.
        options.packBlockBytes = [512, 2_048, 128 << 10].randomElement(using: &random) ?? 512
        if kind == .fullDisk {
            capacityBytes = Self.drawFullDisk(&options, &random)
            files.capacityBytes = capacityBytes
            bodyBytesMax = options.segmentBytes / 8
        }
        let opened = try Self.open(
            files,
            options,
            WallTime(milliseconds: 1_000_000_000_000),
            &random
        )
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
        note("\(kind), seed \(seed), sectors of \(sectorSizeBytes): \(options)")
        tellOfDisk()
        takeJobs()
    }

    /// Small segments, so that files begin, fill, and go all the time.
    private static func draw(_ random: inout SeededGenerator) -> LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = [8, 16, 32, 64].randomElement(using: &random).map { $0 << 10 } ?? 0
        options.chunkBytes = random.oneIn(2) ? 4_096 : 16_384
        options.tailBytes = random.oneIn(2) ? 4_096 : 40_000
        options.postingCacheBytes = random.oneIn(2) ? 200 : 1 << 20
        options.preallocates = !random.oneIn(4)
        options.bypassesCache = !random.oneIn(3)
        if random.oneIn(2) {
            options.settleDelay = .milliseconds(.random(in: 1...40, using: &random))
        }
        options.minFreeDiskBytes = 0
        options.packs = !random.oneIn(4)
        options.packGainBytesMin = random.oneIn(2) ? 1 : 2_048
        options.packColdAfter = .milliseconds(random.oneIn(2) ? 1 : 20)
        options.packBytesPerSecond = 1 << 30
        options.packBelowLive = random.oneIn(2) ? 0.5 : 0.9
        options.packCodec = BlockCodec.allCases.randomElement(using: &random) ?? .stored
        options.reserveBytes = random.oneIn(2) ? 0 : 8 << 10
        options.checkpointInterval = .milliseconds(random.oneIn(2) ? 1 : 20)
        if random.oneIn(4) { options.retain = .milliseconds(.random(in: 1...100, using: &random)) }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: options.fsync = .never
        case 1: options.fsync = .every(.milliseconds(5))
        default: options.fsync = .always
        }
        return options
    }

    static func open(
        _ files: Files,
        _ options: LogStoreOptions,
        _ now: WallTime,
        _ random: inout SeededGenerator
    ) throws(LogStoreError) -> Recovery<Files>.Opened {
        try Recovery.open(
            files,
            directory: directory,
            options: options,
            now: now,
            using: &random
        )
    }

    // MARK: - The run

    /// Plays all lives; throws what is wrong.
    func run() throws {
        counts[.seeds] += 1
        switch kind {
        case .crashes, .lazySync: try runWithCrashes()
        case .faults: try runWithFaults()
        case .fullDisk: try runOnFullDisk()
        case .damage: try runWithDamage()
        }
    }

    private func runWithCrashes() throws {
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            try live()
            try die()
        }
        try live()
        try stopCleanly()
    }

    func live() throws {
        if random.oneIn(2) {
            files.crashAtOperation =
                files.operationCount + Int.random(in: 1...150, using: &random)
        }
        if random.oneIn(6) { orderFaults() }
        // Some lives only open the store: what they found must then be safe already.
        let turnCount = random.oneIn(5) ? 0 : Int.random(in: 5...60, using: &random)
        for _ in 0..<turnCount where failure == nil {
            try turn()
        }
    }

    /// Some calls, the end of the turn, some work on the disk.
    func turn() throws {
        for _ in 0..<Int.random(in: 0...8, using: &random) { try call() }
        endTurn()
        for _ in 0..<Int.random(in: 0...6, using: &random) where failure == nil { try work() }
    }

    /// Ends the turn and remembers which group covers it.
    func endTurn() {
        now = now.advanced(by: Interval(nanoseconds: .random(in: 0...2_000_000, using: &random)))
        if random.oneIn(64) { jumpClock() }
        guard failure == nil else { return }
        // Somebody may wait for the settles.
        if random.oneIn(4) { store.hasten() }
        if random.oneIn(8) { store.tick(instant) } else { store.submit(now: now) }
        noteTurnEnd()
        note("turn \(history.place) in group \(store.pendingGroup ?? 0)")
        takeJobs()
    }

    /// Remembers which group covers the turn, if the turn changed anything and none of its settles wait
    /// for a later one.
    func noteTurnEnd() {
        defer { endedPlace = history.place }
        guard history.place > turnPlace, store.settlesDue == nil else { return }
        history.append(.turnEnd)
        turnPlace = history.place
        if let group = store.pendingGroup { turns.append((group, turnPlace)) }
    }

    // MARK: - Jobs

    func takeJobs() {
        jobs += store.takeJobs()
    }

    /// Performs one job, or brings one result to the store.
    func work() throws {
        if !results.isEmpty, jobs.isEmpty || random.oneIn(2) {
            let index = Int.random(in: 0..<results.count, using: &random)
            try deliver(results.remove(at: index))
        } else if !jobs.isEmpty {
            let index = Int.random(in: 0..<jobs.count, using: &random)
            try perform(jobs.remove(at: index))
        }
    }

    func perform(_ job: StoreJob) throws {
        note("perform \(Self.name(job))")
        let result = result(of: job)
        counts[.jobs] += 1
        try judgeFaults(result)
        if case .written(let job, nil) = result {
            let place = turns.last { $0.group <= job.group }?.place ?? 0
            writtenPlace = max(writtenPlace, place)
            if job.syncs { syncedPlace = max(syncedPlace, place) }
        }
        count(result)
        try checkSpace(result)
        results.append(result)
    }

    private func count(_ result: StoreResult) {
        switch result {
        case .packed(_, .packed): counts[.packs] += 1
        case .checkpointed(_, nil): counts[.checkpoints] += 1
        case .removed(let files, nil): counts[.removals] += files.count
        case .sparePrepared(_, _, nil): counts[.spares] += 1
        case .read(let result) where result.isWorthRetrying: counts[.retriedReads] += 1
        case .quarantined(let report): counts[.quarantined] += report.kept.count
        case .written, .read, .checkpointed, .removed, .sparePrepared, .packed, .space: break
        }
    }

    /// Space must be refused to senders before a write or a checkpoint finds none.
    private func checkSpace(_ result: StoreResult) throws {
        if case .written(let job, _?) = result, job.canRepeat { counts[.blockedWrites] += 1 }
        guard !isDiskTaken, !metFaults else { return }
        switch result {
        case .written(_, let error?), .checkpointed(_, let error?):
            guard error.reason == .noSpace else { return }
            throw SimulationFailure(text: "the disk is full without a refusal: \(error)")
        default: return
        }
    }

    func result(of job: StoreJob) -> StoreResult {
        guard case .write(let job) = job else { return worker.perform(job) }
        return resultOfRing(job) ?? writer.perform(job)
    }

    /// What a ring would make of a job; nil if that is none for it, or it refuses.
    private func resultOfRing(_ job: WriteJob) -> StoreResult? {
        guard usesRing, let staged = writer.stage(job, bytesMax: 8 << 10) else { return nil }
        counts[.ringWrites] += 1
        do throws(FileError) {
            try staged.blocks.withBytes { (bytes) throws(FileError) in
                try files.write(staged.file, at: staged.offset, bytes)
            }
        } catch {
            return writer.finish(
                job,
                error.reason == .noSpace ? .refused(isLasting: false) : .failed(EIO)
            )
        }
        do throws(FileError) { try files.syncData(staged.file) } catch {
            return writer.finish(job, .failed(EIO))
        }
        return writer.finish(job, .durable)
    }

    func deliver(_ result: StoreResult) throws {
        store.complete(result, now: now)
        // That may have handed over settles that waited.
        if failure == nil, history.place == endedPlace { noteTurnEnd() }
        takeJobs()
        try takeIn()
        if case .written(let job, let error?) = result, !job.canRepeat, failure == nil {
            throw SimulationFailure(text: "the store goes on after \(error)")
        }
    }

    /// Performs and delivers until nothing is left to do.
    func drain() throws {
        while failure == nil, !jobs.isEmpty || !results.isEmpty { try work() }
    }

    private static func name(_ job: StoreJob) -> String {
        switch job {
        case .write(let job): "write up to group \(job.group), \(job.end), syncs \(job.syncs)"
        case .read(let job): "read of queue \(job.queue.value) from segment \(job.segment)"
        case .checkpoint(let job): "checkpoint \(job.number)"
        case .prepareSpare(let job): "spare \(job.number) of \(job.recycles?.name ?? "zeros")"
        case .remove(let files): "remove \(files.map(\.name))"
        case .pack(let job): "pack \(job.source.name) into \(job.target.name)"
        case .quarantine(let damage): "keep \(damage.count) damaged ranges"
        case .checkSpace: "space"
        }
    }

    // MARK: - Notices

    func takeIn() throws {
        for notice in store.takeNotices() {
            switch notice {
            case .durable(let group):
                note("durable: group \(group)")
                try markDurable(group)
            case .fetched(let result):
                if !files.isDead { try check(result) }
            case .pressure, .retentionShortened:
                break
            case .sendsRefused(let reason):
                note("sends are refused: \(reason ?? "no more")")
                refusal = reason
            case .damaged(let damage):
                // A read that the process did not live to finish.
                if files.isDead { break }
                throw SimulationFailure(text: "sound bytes are called damaged: \(damage)")
            case .quarantined:
                break
            case .failed(let error):
                note("the store has ended: \(error)")
                failure = error
                if !files.isDead {
                    guard fatalFault != nil else {
                        throw SimulationFailure(text: "the store has ended for nothing: \(error)")
                    }
                    counts[.endsByFault] += 1
                }
            }
        }
    }

    /// What the store reports as durable must be so by its rule.
    private func markDurable(_ group: UInt64) throws {
        let place = turns.last { $0.group <= group }?.place ?? 0
        let certain = options.fsync == .always ? syncedPlace : writtenPlace
        guard place <= certain else {
            throw SimulationFailure(text: "group \(group) is reported durable and is not")
        }
        history.markDurable(upTo: min(place, syncedPlace))
        turns.removeAll { $0.group <= group && $0.place <= syncedPlace }
    }

    // MARK: - Telling

    /// Tells of a step, if anybody listens.
    func note(_ text: @autoclosure () -> String) {
        switch telling {
        case .nothing: return
        case .end:
            if trace.count >= 160 { trace.removeFirst(80) }
            trace.append(text())
        case .steps:
            stepNumber += 1
            Self.say("\(stepNumber)  \(text())")
        }
    }

    /// Tells of each call that changes the disk, if steps are told.
    private func tellOfDisk() {
        guard telling == .steps else { return }
        files.beforeEachOperation { number, operation, path in
            Self.say("        disk \(number): \(operation) \(path)")
        }
    }

    /// What tells which files a crash changed, and how.
    var lossTeller: ((String) -> Void)? {
        telling == .nothing ? nil : { self.note("lost: \($0)") }
    }

    /// Prints a line at once, for the process may die in the next step.
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }

    /// The last events, for a failure's message.
    var recentEvents: String { trace.suffix(60).joined(separator: "\n  ") }
}
