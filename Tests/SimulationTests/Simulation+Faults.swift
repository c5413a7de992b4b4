import Base
import TestSupport

@testable import LogStore

/// Calls to the disk that fail: what must end the store does, all else heals without a restart.
extension Simulation {
    /// What fails, and why.
    private static let faults: [(SimulatedOperation, [FileError.Reason])] = [
        (.create, [.tooManyOpenFiles, .noSpace, inputOutput]),
        (.read, [inputOutput]),
        (.write, [.noSpace, inputOutput]),
        (.syncData, [inputOutput, .noSpace]),
        (.syncDirectory, [inputOutput, .tooManyOpenFiles]),
        (.truncate, [inputOutput]),
        (.rename, [inputOutput, .noSpace]),
        (.remove, [inputOutput]),
        (.freeBytes, [inputOutput]),
    ]

    /// What fails only while a store is open, or is being opened.
    private static let runningFaults: [(SimulatedOperation, [FileError.Reason])] = [
        (.open, [.tooManyOpenFiles, inputOutput]),
        (.size, [inputOutput]),
    ]
    private static let openingFaults: [(SimulatedOperation, [FileError.Reason])] = [
        (.open, [.tooManyOpenFiles]),
        (.list, [.tooManyOpenFiles, inputOutput]),
        (.lock, [.tooManyOpenFiles]),
        (.createDirectory, [inputOutput]),
    ]

    private static let inputOutput = FileError.Reason.other(5)

    /// Files that few calls speak of, so that each of them meets faults.
    private static let targets = [".chk.tmp", ".pak.tmp", ".pak", ".chk", ".tmp", ".log"]

    /// Plays lives with errors: each must end as it is said to.
    func runWithFaults() throws {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            try liveWithFaults()
            if failure == nil, !files.isDead { try heal() }
            if failure != nil || files.isDead || random.oneIn(2) { try die() }
        }
        try live()
        try stopCleanly()
    }

    private func liveWithFaults() throws {
        if random.oneIn(4) {
            files.crashAtOperation =
                files.operationCount + Int.random(in: 1...200, using: &random)
        }
        for _ in 0..<Int.random(in: 1...4, using: &random) { orderFaults() }
        let turnCount = Int.random(in: 5...60, using: &random)
        let isShortOfFiles = random.oneIn(3)
        let shortage =
            Int.random(in: 0..<turnCount, using: &random)..<turnCount
            + Int.random(in: 0...10, using: &random)
        for number in 0..<turnCount where failure == nil {
            if isShortOfFiles, number == shortage.lowerBound {
                note("no further file can be opened")
                files.openFilesMax = files.openFileCount
            }
            if number == shortage.upperBound { files.openFilesMax = nil }
            if random.oneIn(10) { orderFaults() }
            if random.oneIn(20) { jumpClock() }
            try turn()
        }
    }

    // MARK: - Ordering

    /// Asks the disk for errors.
    func orderFaults() {
        let isAimed = random.oneIn(2)
        let suffix = isAimed ? Self.targets.randomElement(using: &random) ?? "" : ""
        let choices = Self.faults + Self.runningFaults
        let choice = choices.randomElement(using: &random) ?? choices[0]
        order(drawFault(choice, skipMax: isAimed ? 2 : 30, timesMax: 3, suffix))
    }

    /// Asks the disk for one error while the store is opened.
    func orderOpeningFault() {
        let choices = Self.faults + Self.openingFaults
        let choice = choices.randomElement(using: &random) ?? choices[0]
        // A second try is all that a start has for a checkpoint.
        let timesMax = choice.0 == .read ? 1 : 3
        order(drawFault(choice, skipMax: 3, timesMax: timesMax, ""))
    }

    private func drawFault(
        _ choice: (operation: SimulatedOperation, reasons: [FileError.Reason]),
        skipMax: Int,
        timesMax: Int,
        _ suffix: String
    ) -> SimulatedFault {
        SimulatedFault(
            choice.operation,
            choice.reasons.randomElement(using: &random) ?? Self.inputOutput,
            skip: .random(in: 0...skipMax, using: &random),
            times: .random(in: 1...timesMax, using: &random),
            pathSuffix: suffix,
            writesPart: !random.oneIn(3)
        )
    }

    private func order(_ fault: SimulatedFault) {
        // A reader tries five times. Two of these one after the other can outlast it, and what they then
        // spoil is damage, not an error that passes.
        let readers: Set<SimulatedOperation> = [.open, .size, .read]
        if readers.contains(fault.operation), files.hasFault(readers) { return }
        note(
            "the disk is to fail \(fault.operation) \(fault.pathSuffix) with \(fault.reason) "
                + "\(fault.times) times after \(fault.skip) calls"
        )
        files.fail(fault)
    }

    /// Sets the wall clock, as an operator or a time server does.
    func jumpClock() {
        counts[.clockJumps] += 1
        let range: ClosedRange<Int64> =
            switch Int.random(in: 0..<4, using: &random) {
            case 0: -2_000...2_000
            case 1: -86_400_000...0
            case 2: 0...86_400_000
            default: -50...50
            }
        wallSkewMilliseconds = Int64.random(in: range, using: &random)
        note("the wall clock shows \(wall.milliseconds) ms")
    }

    // MARK: - Judging

    /// Decides what the errors that a job met must lead to, and whether its result says so.
    func judgeFaults(_ result: StoreResult) throws {
        let strikes = files.takeStrikes()
        for strike in strikes { note("FAULT: \(strike)") }
        counts[.faults] += strikes.count
        metFaults = metFaults || !strikes.isEmpty
        guard case .written(let job, let error) = result, !files.isDead else { return }
        if let fatal = strikes.first(where: Self.endsStore) {
            fatalFault = fatal
            guard error != nil, !job.canRepeat else {
                throw SimulationFailure(text: "a write goes on although \(fatal)")
            }
        } else if let error, !job.canRepeat {
            throw SimulationFailure(text: "a write is given up for \(error), after \(strikes)")
        }
    }

    /// Whether a call of the writer's that failed leaves no way on.
    ///
    /// What found no space, or no file descriptor, changed nothing and is tried again, but for a sync.
    private static func endsStore(_ strike: SimulatedStrike) -> Bool {
        if strike.path.hasSuffix("/" + FileNames.reserve) { return false }
        return switch strike.operation {
        case .remove, .read, .list, .size, .freeBytes, .lock, .createDirectory: false
        case .syncData: true
        case .open, .create, .write, .truncate, .rename, .syncDirectory:
            strike.reason != .tooManyOpenFiles
                && (strike.reason != .noSpace || strike.operation == .syncDirectory)
        }
    }

    /// An opening may do without what it could not read or tidy up, but for nothing it had to write.
    func judgeOpening(_ strikes: [SimulatedStrike]) throws {
        untidied = Set(strikes.filter { $0.operation == .remove }.map(\.path))
        for strike in strikes { note("FAULT: \(strike)") }
        counts[.faults] += strikes.count
        for strike in strikes {
            switch strike.operation {
            case .write, .syncData, .syncDirectory, .truncate, .create, .lock, .list,
                .createDirectory:
                throw SimulationFailure(text: "the store opens although \(strike)")
            case .open, .read, .size, .rename, .remove, .freeBytes: break
            }
        }
    }

    /// An opening fails by the name of the call that did.
    func judgeFailedOpening(_ cause: FileError, _ strikes: [SimulatedStrike]) throws {
        for strike in strikes { note("FAULT: \(strike)") }
        counts[.faults] += strikes.count
        let isNamed = strikes.contains { strike in
            strike.path == cause.path && strike.reason == cause.reason
                && "\(strike.operation)" == cause.operation
        }
        guard isNamed else {
            throw SimulationFailure(text: "the store does not open: \(cause), after \(strikes)")
        }
        guard files.openFileCount == 0 else {
            throw SimulationFailure(text: "\(files.openFileCount) files are left open")
        }
        note("not opened: \(cause)")
        counts[.faultyOpenings] += 1
    }

    // MARK: - Healing

    /// Ends all errors, after which everything must go on without a restart.
    private func heal() throws {
        files.clearFaults()
        files.capacityBytes = capacityBytes
        note("the disk is sound again")
        for _ in 0..<6 {
            now = now.advanced(by: .seconds(11))
            if random.oneIn(4) { jumpClock() }
            guard failure == nil, !files.isDead else { return }
            store.requestCheckpoint()
            store.tick(instant)
            noteTurnEnd()
            takeJobs()
            try drain()
        }
        guard failure == nil, !files.isDead else { return }
        guard store.pendingGroup == nil else {
            throw SimulationFailure(text: "what was appended does not become durable")
        }
        guard store.refusal == nil, refusal == nil else {
            throw SimulationFailure(text: "sends are still refused: \(store.refusal ?? "")")
        }
        guard fetches.isEmpty else {
            throw SimulationFailure(text: "fetches of \(fetches.keys.sorted()) are not answered")
        }
        try checkFiles()
        counts[.heals] += 1
    }

    /// No file is left that the store does not know.
    private func checkFiles() throws {
        let segments = store.state.segments
        var known = Set(segments.absent + store.recyclable)
        for info in segments.infos { known.insert(info.file) }
        known.formUnion(segments.replaced)
        let spares = Set(store.spares.map { FileNames.spare($0.number) })
        var checkpoints = 0
        for name in try files.list(Self.directory) {
            let isKnown: Bool
            switch FileNames.kind(of: name) {
            case .segment(let number):
                isKnown = known.contains(SegmentFile(segment: number, generation: 0))
            case .packed(let file): isKnown = known.contains(file)
            case .checkpoint:
                checkpoints += 1
                isKnown = checkpoints <= 2
            case .temporary:
                // What a start cannot remove, the next one does.
                isKnown =
                    spares.contains(name) || untidied.contains(Self.directory + "/" + name)
            case .lock, .reserve: isKnown = true
            case .quarantine: isKnown = false
            case .unknown: isKnown = false
            }
            guard isKnown else {
                throw SimulationFailure(
                    text: "\(name) is left over in \(try files.list(Self.directory))"
                )
            }
        }
    }
}
