/// Something that runs try, counted so that one sees what they cover.
enum SimulationCounter: String, CaseIterable, Sendable {
    case seeds
    // Calls.
    case calls, sends, fanOuts, units, settles, requeues, purges, declares, deletes
    case fetches, coldFetches
    // Work on the disk.
    case jobs, ringWrites, checkpoints, packs, removals, spares
    // Ends of processes, and beginnings.
    case powerCuts, kills, deathsInRecovery, openings, tornTails
    /// Calls that were lost, as nobody had said that they are safe.
    case lostUnits
    // Errors of the disk.
    case faults, endsByFault, heals, faultyOpenings, retriedReads, clockJumps
    // Full disks.
    case fullDisks, consumedFullDisks, blockedWrites
    // Damage.
    case damages, damagedCheckpoints, damagedSegments, damagedPacked, cuts, lostFiles
    case lostEntries, quarantined
}

/// How much runs tried.
struct SimulationCounts: CustomStringConvertible {
    private var values: [SimulationCounter: Int] = [:]

    subscript(counter: SimulationCounter) -> Int {
        get { values[counter] ?? 0 }
        set { values[counter] = newValue }
    }

    /// Power cuts and killed processes, those during recovery included.
    var crashes: Int { self[.powerCuts] + self[.kills] }

    mutating func add(_ other: SimulationCounts) {
        for (counter, value) in other.values { values[counter, default: 0] += value }
    }

    /// `seeds=250 calls=…`, as `tools/simulate` reads it.
    var description: String {
        SimulationCounter.allCases.filter { self[$0] > 0 }
            .map { "\($0.rawValue)=\(self[$0])" }
            .joined(separator: " ")
    }
}
