import Glibc
import Testing

@Suite("Simulation of the core")
struct BrokerSimulationTests {
    /// Seeds in one of the eight blocks, which run in parallel.
    ///
    /// More of them: `BROKER_SEEDS=20000 swift test --filter BrokerSimulationTests`.
    private static var seedsPerBlock: UInt64 {
        let wanted = getenv("BROKER_SEEDS").flatMap { UInt64(String(cString: $0)) }
        return max(1, (wanted ?? 800) / 8)
    }

    @Test("no seed breaks a promise", arguments: UInt64(0)..<8)
    func seeds(block: UInt64) throws {
        let count = Self.seedsPerBlock
        var deliveries = 0
        for seed in block * count..<(block + 1) * count {
            do {
                let simulation = try BrokerSimulation(seed: seed)
                try simulation.run(steps: 400)
                deliveries += simulation.deliveries
            } catch {
                Issue.record(
                    "seed \(seed): \(error) (replay: BrokerSimulation(seed: \(seed)), 400 steps)"
                )
                return
            }
        }
        #expect(deliveries > 10 * Int(count), "a simulation that delivers little tests little")
    }
}
