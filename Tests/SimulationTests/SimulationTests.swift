import Glibc
import Testing

/// Seeded runs of the store over a disk that crashes, against a plain model.
///
/// `RADIATOR_SIMULATION_SEEDS=N swift test --filter SimulationTests` runs N seeds instead of the
/// default; `RADIATOR_SIMULATION_SEED=N` replays one.
@Suite("simulation of the store")
struct SimulationTests {
    /// Tests that run side by side; each takes every so many-th seed.
    static let laneCount = 8
    static let defaultSeedCount: UInt64 = 2_000

    @Test(
        "whatever crashes leave is what the model allows",
        arguments: 0..<laneCount
    )
    func crashes(lane: Int) throws {
        guard let counts = Self.play(.crashes, lane: lane) else { return }
        #expect(counts.calls > 1_000)
        #expect(counts.coldFetches > 100)
        #expect(counts.powerCuts > 100)
        #expect(counts.kills > 50)
        #expect(counts.deathsInRecovery > 30)
        #expect(counts.tornTails > 3)
        #expect(counts.packs > 100)
    }

    @Test(
        "without a sync for each group, a killed process loses nothing, a power cut only the end",
        arguments: 0..<laneCount
    )
    func lazySync(lane: Int) throws {
        guard let counts = Self.play(.lazySync, lane: lane) else { return }
        #expect(counts.powerCuts > 50)
        #expect(counts.kills > 25)
        #expect(counts.lostUnits > 100)
    }

    @Test(
        "a full disk refuses sends before anything fails, and takes them again when there is room",
        arguments: 0..<laneCount
    )
    func fullDisk(lane: Int) throws {
        guard let counts = Self.play(.fullDisk, lane: lane) else { return }
        #expect(counts.fullDisks > 100)
        #expect(counts.consumedFullDisks > 3)
        #expect(counts.powerCuts > 5)
        #expect(counts.packs > 20)
    }

    @Test(
        "damage costs what it hit, is named, and never served",
        arguments: 0..<laneCount
    )
    func damage(lane: Int) throws {
        guard let counts = Self.play(.damage, lane: lane) else { return }
        #expect(counts.damages > 100)
    }

    /// Plays a lane's seeds; what it tried, if that was enough to expect variety of it.
    private static func play(_ kind: SimulationKind, lane: Int) -> SimulationCounts? {
        if let seed = environment("RADIATOR_SIMULATION_SEED") {
            if lane == 0 { play(seed, kind) }
            return nil
        }
        let all = environment("RADIATOR_SIMULATION_SEEDS") ?? defaultSeedCount
        let count = all / kind.share
        var counts = SimulationCounts()
        var failureCount = 0
        for seed in stride(from: UInt64(lane), to: count, by: laneCount) {
            guard let played = play(seed, kind) else {
                failureCount += 1
                if failureCount == 3 { return nil }
                continue
            }
            counts.add(played)
        }
        if getenv("RADIATOR_SIMULATION_COUNTS") != nil { print(kind, lane, counts) }
        return failureCount == 0 && all >= defaultSeedCount ? counts : nil
    }

    /// Runs one seed; reports what is wrong with it, and how to see that again.
    @discardableResult
    static func play(_ seed: UInt64, _ kind: SimulationKind) -> SimulationCounts? {
        do {
            let simulation = try Simulation(seed: seed, kind)
            try simulation.run()
            return simulation.counts
        } catch {
            report(seed, kind)
            return nil
        }
    }

    /// Runs a seed again, for its outcome is the same, and this time with its events.
    private static func report(_ seed: UInt64, _ kind: SimulationKind) {
        var simulation: Simulation?
        do {
            simulation = try Simulation(seed: seed, kind, keepsTrace: true)
            try simulation?.run()
            Issue.record("seed \(seed) failed and then did not: the run is not deterministic")
        } catch {
            let text = (error as? SimulationFailure)?.text ?? "\(error)"
            Issue.record(
                """
                seed \(seed): \(text)
                replay: RADIATOR_SIMULATION_SEED=\(seed) swift test --filter SimulationTests/\(kind)
                options: \(simulation.map { "\($0.options)" } ?? "")
                the last events:
                  \(simulation?.recentEvents ?? "")
                """
            )
        }
    }

    private static func environment(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }
}

extension SimulationKind {
    /// Runs of this kind are so many times fewer, for they are longer.
    fileprivate var share: UInt64 {
        switch self {
        case .crashes, .damage: 1
        case .lazySync: 4
        case .fullDisk: 10
        }
    }
}
