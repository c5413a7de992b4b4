import Testing

@Suite("Simulation of the core")
struct BrokerSimulationTests {
    /// Seeds are run in blocks so that the blocks run in parallel.
    @Test("no seed breaks a promise", arguments: 0..<8)
    func seeds(block: Int) throws {
        var deliveries = 0
        for seed in UInt64(block) * 100..<UInt64(block + 1) * 100 {
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
        #expect(deliveries > 1_000, "a simulation that delivers little tests little")
    }
}
