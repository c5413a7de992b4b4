import LogStore
import TestSupport
import Testing

/// The fault model of `SimulatedFileSystem`: what a power cut does to names.
@Suite("simulated file system: names")
struct SimulatedNamesTests {
    static func empty(keepsNameOrder: Bool = true) throws -> SimulatedFileSystem {
        let files = SimulatedFileSystem(
            seed: 1,
            options: .init(keepsNameOrder: keepsNameOrder)
        )
        try files.createDirectory("/data")
        try files.syncDirectory("/")
        return files
    }

    static func put(_ files: SimulatedFileSystem, _ name: String, _ byte: UInt8) throws {
        let file = try files.open("/data/\(name)", .create)
        try files.write(file, at: 0, [byte].span.bytes)
        try files.syncData(file)
        files.close(file)
    }

    /// What the directory may hold after a power cut: each file's name with its first byte.
    static func outcomes(_ files: SimulatedFileSystem) throws -> Set<[String]> {
        var outcomes: Set<[String]> = []
        for seed in 0..<300 as Range<UInt64> {
            let disk = files.clone(seed: seed)
            disk.crash()
            let names = try disk.list("/data")
            outcomes.insert(try names.map { "\($0)\(try disk.contents("/data/\($0)").first ?? 0)" })
        }
        return outcomes
    }

    @Test("a synced file without a synced name may be gone")
    func nameLost() throws {
        let files = try Self.empty()
        try Self.put(files, "a", 1)
        #expect(files.durableContents("/data/a") == nil)
        #expect(try Self.outcomes(files) == [[], ["a1"]])
        try files.syncDirectory("/data")
        #expect(files.durableContents("/data/a") == [1])
        #expect(try Self.outcomes(files) == [["a1"]])
    }

    @Test("in order, a power cut keeps the first of a directory's changes")
    func prefix() throws {
        let files = try Self.empty()
        for name in ["a", "b", "c"] { try Self.put(files, name, 1) }
        #expect(try Self.outcomes(files) == [[], ["a1"], ["a1", "b1"], ["a1", "b1", "c1"]])
    }

    @Test("out of order, a power cut keeps any of a directory's changes")
    func subset() throws {
        let files = try Self.empty(keepsNameOrder: false)
        for name in ["a", "b", "c"] { try Self.put(files, name, 1) }
        #expect(try Self.outcomes(files).count == 8)
    }

    @Test("a rename is whole: the old file or the new one, never none", arguments: [true, false])
    func renameIsAtomic(keepsNameOrder: Bool) throws {
        let files = try Self.empty(keepsNameOrder: keepsNameOrder)
        try Self.put(files, "a", 1)
        try files.syncDirectory("/data")
        try Self.put(files, "new", 2)
        try files.rename("/data/new", to: "/data/a")
        #expect(try Self.outcomes(files) == [["a1"], ["a1", "new2"], ["a2"]])
        try files.syncDirectory("/data")
        #expect(try Self.outcomes(files) == [["a2"]])
    }

    @Test("a file that moves twice is in one place", arguments: [true, false])
    func movesTwice(keepsNameOrder: Bool) throws {
        let files = try Self.empty(keepsNameOrder: keepsNameOrder)
        try Self.put(files, "a", 1)
        try files.syncDirectory("/data")
        try files.rename("/data/a", to: "/data/b")
        try files.rename("/data/b", to: "/data/c")
        #expect(try Self.outcomes(files) == [["a1"], ["b1"], ["c1"]])
    }

    @Test("an unsynced remove may be undone, with the file's bytes")
    func removeUndone() throws {
        let files = try Self.empty()
        try Self.put(files, "a", 1)
        try files.syncDirectory("/data")
        try files.remove("/data/a")
        #expect(try Self.outcomes(files) == [[], ["a1"]])
    }

    @Test("a move between directories is whole, whichever is synced", arguments: ["/data", "/old"])
    func moveBetweenDirectories(synced: String) throws {
        let files = try Self.empty()
        try files.createDirectory("/old")
        try files.syncDirectory("/")
        let file = try files.open("/old/a", .create)
        files.close(file)
        try files.rename("/old/a", to: "/data/a")
        for seed in 0..<50 as Range<UInt64> {
            let disk = files.clone(seed: seed)
            disk.crash()
            #expect(try disk.list("/old").count + disk.list("/data").count <= 1)
        }
        try files.syncDirectory(synced)
        #expect(try Self.outcomes(files) == [["a0"]])
        #expect(try files.list("/old").isEmpty)
    }

    @Test("a directory without a synced name may be gone with all in it")
    func directoryLost() throws {
        let files = SimulatedFileSystem(seed: 1)
        try files.createDirectory("/data")
        try Self.put(files, "a", 1)
        try files.syncDirectory("/data")
        var lossCount = 0
        for seed in 0..<50 as Range<UInt64> {
            let disk = files.clone(seed: seed)
            disk.crash()
            if try disk.list("/") == [] {
                lossCount += 1
                #expect(throws: FileError.self) { try disk.contents("/data/a") }
            } else {
                #expect(try disk.contents("/data/a") == [1])
            }
        }
        #expect(lossCount > 5 && lossCount < 45)
    }

    @Test("a list is sorted")
    func sorted() throws {
        let files = try Self.empty()
        for name in ["c", "a", "b"] { try Self.put(files, name, 1) }
        #expect(try files.list("/data") == ["a", "b", "c"])
    }
}
