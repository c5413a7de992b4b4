import LogStore
import TestSupport
import Testing

/// The fault model of `SimulatedFileSystem`: what a power cut keeps, loses and tears.
@Suite("simulated file system: power cuts")
struct SimulatedFileSystemTests {
    static let path = "/data/a"

    /// A disk with an empty durable file, which is open.
    static func withFile(
        seed: UInt64 = 1,
        sectorSizeBytes: Int = 512
    ) throws -> (SimulatedFileSystem, SimulatedFileSystem.File) {
        let files = SimulatedFileSystem(
            seed: seed,
            options: .init(sectorSizeBytes: sectorSizeBytes)
        )
        try files.createDirectory("/data")
        let file = try files.open(path, .create)
        try files.syncDirectory("/")
        try files.syncDirectory("/data")
        return (files, file)
    }

    static func fill(_ byte: UInt8, _ count: Int) -> [UInt8] {
        [UInt8](repeating: byte, count: count)
    }

    /// The file's contents after a power cut under each of `count` seeds.
    static func outcomes(_ files: SimulatedFileSystem, count: UInt64 = 200) throws -> [[UInt8]] {
        try (0..<count).map { seed in
            let disk = files.clone(seed: seed)
            disk.crash()
            return try disk.contents(path)
        }
    }

    @Test("synced bytes survive every power cut")
    func syncedSurvives() throws {
        let (files, file) = try Self.withFile()
        try files.write(file, at: 0, Self.fill(7, 3_000).span.bytes)
        try files.syncData(file)
        #expect(files.durableContents(Self.path) == Self.fill(7, 3_000))
        #expect(try Self.outcomes(files).allSatisfy { $0 == Self.fill(7, 3_000) })
    }

    @Test("unsynced sectors survive in every mixture", arguments: [512, 4_096])
    func unsyncedMixture(sectorSizeBytes: Int) throws {
        let (files, file) = try Self.withFile(sectorSizeBytes: sectorSizeBytes)
        let length = sectorSizeBytes * 3
        try files.write(file, at: 0, Self.fill(1, length).span.bytes)
        try files.syncData(file)
        for sector in 0..<3 {
            try files.write(
                file,
                at: sector * sectorSizeBytes,
                Self.fill(2, sectorSizeBytes).span.bytes
            )
        }
        var seen: Set<[UInt8]> = []
        var tornCount = 0
        for outcome in try Self.outcomes(files) {
            #expect(outcome.count == length)
            let sectors = (0..<3).map {
                Set(outcome[$0 * sectorSizeBytes..<($0 + 1) * sectorSizeBytes])
            }
            #expect(sectors[0].count == 1 && sectors[1].count == 1, "only the last write is torn")
            if sectors[2].count == 2 { tornCount += 1 }
            seen.insert((0..<3).map { outcome[$0 * sectorSizeBytes + sectorSizeBytes - 1] })
        }
        #expect(seen.count == 8, "every subset of three sectors")
        #expect(tornCount > 10)
    }

    @Test("a torn sector holds new bytes and then old ones")
    func torn() throws {
        let (files, file) = try Self.withFile()
        try files.write(file, at: 0, Self.fill(1, 512).span.bytes)
        try files.syncData(file)
        try files.write(file, at: 0, Self.fill(2, 512).span.bytes)
        let torn = try Self.outcomes(files).filter { Set($0).count == 2 }
        #expect(torn.count > 10)
        #expect(torn.allSatisfy { $0.first == 2 && $0.last == 1 && $0 == $0.sorted(by: >) })
    }

    @Test("a sector written twice may show the state in between")
    func stateBetween() throws {
        var seen: Set<UInt8> = []
        for seed in 0..<100 as Range<UInt64> {
            let (files, file) = try Self.withFile(seed: seed)
            for byte in 1...3 as ClosedRange<UInt8> {
                try files.write(file, at: 0, Self.fill(byte, 512).span.bytes)
                if byte == 1 { try files.syncData(file) }
            }
            files.crash()
            seen.insert(try files.contents(Self.path)[511])
        }
        #expect(seen == [1, 2, 3])
    }

    @Test("a growing file ends anywhere between its lengths, with zeros for what was lost")
    func growth() throws {
        let (files, file) = try Self.withFile()
        try files.write(file, at: 0, Self.fill(1, 1_000).span.bytes)
        try files.syncData(file)
        try files.write(file, at: 1_000, Self.fill(2, 4_000).span.bytes)
        let outcomes = try Self.outcomes(files)
        let lengths = Set(outcomes.map(\.count))
        #expect(lengths.allSatisfy { (1_000...5_000).contains($0) })
        #expect(lengths.contains(1_000) && lengths.contains(5_000) && lengths.count > 20)
        #expect(outcomes.allSatisfy { $0[..<1_000].allSatisfy { $0 == 1 } })
        #expect(outcomes.allSatisfy { $0[1_000...].allSatisfy { $0 == 0 || $0 == 2 } })
        #expect(outcomes.contains { $0[1_000...].contains(0) && $0[1_000...].contains(2) })
    }

    @Test("an unsynced cut happened or did not, and then old bytes never show behind it")
    func unsyncedCut() throws {
        let (files, file) = try Self.withFile()
        try files.write(file, at: 0, Self.fill(1, 4_096).span.bytes)
        try files.syncData(file)
        try files.truncate(file, to: 1_024)
        try files.truncate(file, to: 2_048)
        for outcome in try Self.outcomes(files) {
            #expect(outcome[..<1_024].allSatisfy { $0 == 1 })
            if outcome.count == 4_096 {
                #expect(outcome.allSatisfy { $0 == 1 })
            } else {
                #expect((1_024...2_048).contains(outcome.count))
                #expect(outcome[1_024...].allSatisfy { $0 == 0 })
            }
        }
        #expect(Set(try Self.outcomes(files).map(\.count)).isSuperset(of: [1_024, 2_048, 4_096]))
        try files.syncData(file)
        let expected = Self.fill(1, 1_024) + Self.fill(0, 1_024)
        #expect(try Self.outcomes(files).allSatisfy { $0 == expected })
    }

    @Test("bytes that were cut before any sync do not come back")
    func cutUnsynced() throws {
        for seed in 0..<50 as Range<UInt64> {
            let (files, file) = try Self.withFile(seed: seed)
            for _ in 0..<4 { try files.write(file, at: 0, Self.fill(9, 2_048).span.bytes) }
            try files.truncate(file, to: 0)
            try files.truncate(file, to: 2_048)
            files.crash()
            #expect(try files.contents(Self.path).allSatisfy { $0 == 0 })
        }
    }

    @Test("a killed process loses nothing that it wrote, but its files and locks end")
    func kill() throws {
        let (files, file) = try Self.withFile()
        _ = try files.lock("/data/lock")
        try files.write(file, at: 0, ([1, 2, 3] as [UInt8]).span.bytes)
        files.kill()
        #expect(try files.contents(Self.path) == [1, 2, 3])
        #expect(files.openFileCount == 0)
        let lock = try files.lock("/data/lock")
        files.close(lock)
        files.close(file)
        let isDead = #expect(throws: FileError.self) { try files.syncData(file) }?.isDeadProcess
        #expect(isDead == true, "a file of the dead process cannot be used")
    }

    @Test("what a killed process wrote is still at risk in a power cut")
    func killThenCrash() throws {
        let (files, file) = try Self.withFile()
        try files.write(file, at: 0, Self.fill(1, 512).span.bytes)
        files.kill()
        #expect(Set(try Self.outcomes(files)).count > 1)
        let again = try files.open(Self.path, .update)
        try files.syncData(again)
        #expect(try Self.outcomes(files).allSatisfy { $0 == Self.fill(1, 512) })
    }

    @Test("a clone lives its own life")
    func clone() throws {
        let (files, file) = try Self.withFile()
        try files.write(file, at: 0, ([1] as [UInt8]).span.bytes)
        let copy = files.clone(seed: 5)
        try copy.write(file, at: 0, ([2] as [UInt8]).span.bytes)
        try copy.syncData(file)
        #expect(try files.contents(Self.path) == [1])
        #expect(try copy.contents(Self.path) == [2])
        #expect(files.counters.syncs + 1 == copy.counters.syncs)
    }

    @Test("one seed has one outcome")
    func deterministic() throws {
        func run() throws -> [[UInt8]] {
            let files = SimulatedFileSystem(seed: 42)
            try files.createDirectory("/data")
            try files.syncDirectory("/")
            for name in 0..<20 {
                let file = try files.open("/data/\(name)", .create)
                try files.write(file, at: 0, Self.fill(1, 5_000).span.bytes)
                if name == 10 { try files.syncDirectory("/data") }
            }
            files.crash()
            return try files.list("/data").map { try files.contents("/data/\($0)") }
        }
        #expect(try run() == run())
    }
}
